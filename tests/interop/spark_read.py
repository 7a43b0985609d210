"""Runs under the Spark interpreter: python spark_read.py JARS (CATALOG_NAME LAKE OUT)…

Reads every dataset of each catalog through JdbcCatalog and writes one JSON line per row, each value as text or number that loses nothing.
"""
import faulthandler
import json
import signal
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f
from pyspark.sql import types as t

faulthandler.register(signal.SIGUSR1)   # spark_run.py asks where we are when nothing has come for long
jars = sys.argv[1]
lakes = list(zip(sys.argv[2::3], sys.argv[3::3], sys.argv[4::3]))
builder = (SparkSession.builder.master("local[1]").appName("interop")
           # On the class path of the one JVM: `spark.jars` would have it download them from itself.
           .config("spark.driver.extraClassPath", jars)
           .config("spark.driver.memory", "2g")
           .config("spark.ui.showConsoleProgress", "false")
           .config("spark.ui.enabled", "false")
           .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
           .config("spark.sql.session.timeZone", "UTC")
           .config("spark.sql.shuffle.partitions", "1")
           .config("spark.sql.caseSensitive", "true"))
for catalog, lake, _ in lakes:
    builder = (builder.config(f"spark.sql.catalog.{catalog}", "org.apache.iceberg.spark.SparkCatalog")
               .config(f"spark.sql.catalog.{catalog}.catalog-impl", "org.apache.iceberg.jdbc.JdbcCatalog")
               .config(f"spark.sql.catalog.{catalog}.uri", f"jdbc:sqlite:{lake}/catalog.db")
               .config(f"spark.sql.catalog.{catalog}.warehouse", lake)
               .config(f"spark.sql.catalog.{catalog}.jdbc.schema-version", "V1")
               .config(f"spark.sql.catalog.{catalog}.cache-enabled", "false"))
spark = builder.getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


def quote(name):
    return "`" + name.replace("`", "``") + "`"


def plain(column, kind):
    """Everything that JSON or Python would bend becomes text or an integer."""
    if isinstance(kind, t.ArrayType):
        return f.transform(column, lambda x: plain(x, kind.elementType))
    if isinstance(kind, t.TimestampType):
        return f.unix_micros(column)
    if isinstance(kind, t.TimestampNTZType):
        # No direct function; in a UTC session the cast keeps the microseconds.
        return f.unix_micros(column.cast("timestamp"))
    if isinstance(kind, t.DateType):
        return f.unix_date(column)
    if isinstance(kind, t.BinaryType):
        return f.lower(f.hex(column))
    if isinstance(kind, (t.FloatType, t.DoubleType, t.DecimalType)):
        return column.cast("string")
    return column


def write(catalog, file):
    namespaces = [r[0] for r in spark.sql(f"show namespaces in {quote(catalog)}").collect()]
    for namespace in namespaces:
        for row in spark.sql(f"show tables in {quote(catalog)}.{quote(namespace)}").collect():
            name = row["tableName"]
            print("reading", catalog, namespace, name, file=sys.stderr, flush=True)
            try:
                table = spark.read.format("iceberg").load(f"{quote(catalog)}.{quote(namespace)}.{quote(name)}")
            except Exception as e:
                file.write(json.dumps({"namespace": namespace, "table": name, "error": str(e)}) + "\n")
                continue
            columns = [plain(f.col(quote(c.name)), c.dataType).alias(f"c{i}") for i, c in enumerate(table.schema.fields)]
            header = {"namespace": namespace, "table": name, "columns": [c.name for c in table.schema.fields],
                      "types": [c.dataType.simpleString() for c in table.schema.fields]}
            parts = spark.sql(f"select * from {quote(catalog)}.{quote(namespace)}.{quote(name)}.partitions")
            if "partition" in parts.columns:
                header["partitions"] = sorted([str(r["partition"][0]), r["record_count"], r["file_count"]] for r in parts.collect())
                first = header["partitions"][0][0]
                time = parts.schema["partition"].dataType.names[0].removesuffix("_day")
                # So dear to open that each file is a task of its own: tasks count what a filter leaves to be read.
                apart = spark.read.format("iceberg").option("file-open-cost", 1 << 30).load(f"{quote(catalog)}.{quote(namespace)}.{quote(name)}")
                some = apart.where(f"{quote(time)} < timestamp '{first} 23:59:59.999999Z'")
                header["first_day"] = [some.count(), some.rdd.getNumPartitions(), apart.rdd.getNumPartitions()]
            file.write(json.dumps(header) + "\n")
            for r in table.select(*columns).toLocalIterator():
                file.write(json.dumps(list(r)) + "\n")
            file.write("null\n")


for catalog, _, out in lakes:
    with open(out, "w") as file:
        write(catalog, file)
spark.stop()
