#!/bin/sh
# The living sample: a small B2B shop in SQLite that keeps changing, and its mirror. Everything is made anew under build/sample.
# On a terminal it runs until Ctrl-C. Without one it runs for DM_SAMPLE_SECONDS (default 60), stops the shop, lets the mirror catch up, and ends with
# the result of `datamirror verify`.
#   DATAMIRROR  the program (default build/dev/datamirror)      DM_SAMPLE_RATE  transactions a second (default 20)
set -eu
cd "$(dirname "$0")/.."
samples=$PWD/samples
folder=$PWD/build/sample
program=${DATAMIRROR:-build/dev/datamirror}
case $program in /*) ;; *) program=$PWD/$program ;; esac
[ -x "$program" ] || { echo "no program at $program: run \`make build\`, or set DATAMIRROR" >&2; exit 2; }

rm -rf "$folder"
mkdir -p "$folder"
cp "$samples/mirror.yaml" "$folder/mirror.yaml"
cd "$folder"
python3 "$samples/shop.py" --db shop.db --create-only --seed "${DM_SEED:-1}"
echo "The shop: $folder/shop.db, changed ${DM_SAMPLE_RATE:-20} times a second. Its lake: $folder/lake"

look_inside() {
    cat <<TEXT
Look inside:
  cd $folder && $program query "select stage, count(*) as n, sum(amount) as amount from shop.opportunities group by stage"
  cd $folder && $program status
  python3 -m pip install "pyiceberg[sql-sqlite,pyarrow]" && \\
  python3 -c "from pyiceberg.catalog.sql import SqlCatalog; print(SqlCatalog('datamirror', uri='sqlite:///$folder/lake/catalog.db').load_table('shop.accounts').scan().to_arrow())"
  duckdb -c "install iceberg; load iceberg; select count(*) from iceberg_scan('$folder/lake/shop/accounts')"
  spark.read.format("iceberg").load("$folder/lake/shop/accounts").show()      (in a Spark shell with the Iceberg runtime)
TEXT
}
look_inside

python3 "$samples/shop.py" --db shop.db --rate "${DM_SAMPLE_RATE:-20}" --seed "${DM_SEED:-1}" &
shop=$!
mirror=
end_all() {
    for pid in $shop $mirror; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in $shop $mirror; do
        wait "$pid" 2>/dev/null || true
    done
}
trap end_all EXIT

if [ -t 1 ]; then
    trap : INT # for the mirror, which ends cleanly
    "$program" run || true
    echo
    look_inside
    exit 0
fi

trap 'exit 130' INT TERM
"$program" run &
mirror=$!
left=${DM_SAMPLE_SECONDS:-60}
while [ "$left" -gt 0 ]; do
    step=$((left < 10 ? left : 10))
    sleep "$step"
    left=$((left - step))
    kill -0 "$mirror" 2>/dev/null || { echo "the mirror ended by itself" >&2; exit 1; }
    "$program" status || true
done
end_all
mirror=
"$program" run --until-caught-up
result=0
"$program" verify || result=$?
exit "$result"
