"""Fetches what the Spark test needs into build/interop: two jars by artifact name through mvn, PySpark through pip in a venv.

Spark, Iceberg and Scala versions belong together; change them together. Nothing is fetched twice.
"""
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "build/interop"
PYSPARK = "4.1.4"
ARTIFACTS = ["org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0", "org.xerial:sqlite-jdbc:3.54.1.0"]


def jars():
    out = []
    for artifact in ARTIFACTS:
        _, name, version = artifact.split(":")
        path = TARGET / "jars" / f"{name}-{version}.jar"
        if not path.exists():
            subprocess.run(["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={path.parent}"],
                           check=True, cwd=_made(TARGET), timeout=900)
        assert path.exists(), f"mvn did not fetch {artifact}"
        out.append(path)
    return out


def python():
    """An interpreter with PySpark, apart from the tests' own environment."""
    venv = TARGET / "venv"
    interpreter = venv / "bin/python"
    stamp = venv / f"pyspark-{PYSPARK}"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([interpreter, "-m", "pip", "-q", "install", f"pyspark=={PYSPARK}"], check=True, timeout=1800)
        stamp.touch()
    return interpreter


def _made(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    print(*jars(), python(), sep="\n")
