"""Time-series datasets: events, corrected and deleted late; divided by the day of their timestamp, so that readers skip other days."""
import random
from collections import defaultdict
from datetime import date, datetime, timedelta, timezone

import duckdb
import pyarrow.parquet as pq
import pytest
from pyiceberg.expressions import And, GreaterThanOrEqual, LessThan
from pyiceberg.transforms import DayTransform

from test_relationships import declared  # noqa: F401  (fixture)

UTC = timezone.utc
READINGS = """
schemas:
  - name: iot.readings
    behavior: time-series
    columns: {sensor: string not null, at: timestamptz not null, v: int64 not null, value: float64}
    key: [sensor, at]
    timestamp: at
    version: v
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def apply(declared, more=""):  # noqa: F811
    declared.apply(READINGS + more)


def event(sensor, at, v, value=None, **more):
    return {"sensor": sensor, "at": at if isinstance(at, str) else at.isoformat(), "v": v, "value": value, **more}


def table(declared, name="readings"):  # noqa: F811
    lake = declared.mirror.lake
    return lake.load(lake.pointers()[("iot", name)])


def day_number(moment):
    return (moment - EPOCH) // timedelta(days=1)


def files_by_day(declared, time="at"):  # noqa: F811
    """{day number: files}, from the files' own rows; each holds rows of the day that its manifest entry names, and of no other."""
    found = defaultdict(list)
    for task in table(declared).scan().plan_files():
        path = task.file.file_path.removeprefix("file://")
        days = {day_number(m) for m in pq.read_table(path, columns=[time]).column(time).to_pylist()}
        named = task.file.partition[0]
        named = (named - date(1970, 1, 1)).days if isinstance(named, date) else named
        assert days == {named}, f"{path}: rows of days {days}, entry says {task.file.partition}"
        found[named].append(path)
    return found


def newest(rows):
    """The oracle: the highest version per key; deletes win ties and leave nothing."""
    best = {}
    for r in rows:
        key = (r["sensor"], r["at"])
        rank = (r["v"], r.get("_change_request_type", "u") == "d")
        if key not in best or rank >= best[key][0]:
            best[key] = (rank, r)
    return sorted((s, a, r["v"], r["value"]) for (s, a), (rank, r) in best.items() if not rank[1])


def visible(declared):  # noqa: F811
    rows = table(declared).scan().to_arrow().to_pylist()
    return sorted((r["sensor"], r["at"].isoformat(), r["v"], r["value"]) for r in rows)


def test_files_hold_one_day_and_readers_skip_the_others(declared):  # noqa: F811
    apply(declared)
    rows = [event("a", datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=h), 1, h / 2) for h in range(72)]
    declared.ingest("iot.readings", rows)
    t = table(declared)
    field = t.spec().fields[0]
    assert (field.name, field.source_id, field.field_id) == ("at_day", t.schema().find_field("at").field_id, 1000)
    assert isinstance(field.transform, DayTransform) and len(t.spec().fields) == 1
    assert {d: len(f) for d, f in files_by_day(declared).items()} == {day_number(datetime(2026, 1, d, tzinfo=UTC)): 1 for d in (1, 2, 3)}
    second = And(GreaterThanOrEqual("at", "2026-01-02T00:00:00+00:00"), LessThan("at", "2026-01-03T00:00:00+00:00"))
    assert len(list(t.scan(row_filter=second).plan_files())) == 1 and t.scan(row_filter=second).to_arrow().num_rows == 24
    assert visible(declared) == newest(rows)
    snapshot = t.current_snapshot().summary.additional_properties
    assert snapshot["changed-partition-count"] == "3"


def test_days_are_utc_days_at_every_edge(declared):  # noqa: F811
    apply(declared)
    moments = ["1969-12-31T23:59:59.999999+00:00", "1970-01-01T00:00:00+00:00", "1969-12-31T00:00:00+00:00", "0001-01-01T00:00:00+00:00",
               "9999-12-31T23:59:59.999999+00:00", "2026-03-01T00:30:00+02:00", "2026-02-28T23:30:00-01:00", "2026-02-28T23:59:59.999999Z"]
    declared.ingest("iot.readings", [event("a", m, i) for i, m in enumerate(moments)])
    days = defaultdict(int)
    for m in moments:
        days[day_number(datetime.fromisoformat(m))] += 1
    found = files_by_day(declared)
    assert {d: sum(pq.read_metadata(f).num_rows for f in files) for d, files in found.items()} == dict(days)
    assert declared.run("query", "select count(*) from iot.readings where \"at\" < '1970-01-01 00:00:00+00'", "--format", "csv").stdout.split()[-1] == "3"


def test_late_corrections_and_deletes_of_past_events(declared, seed):  # noqa: F811
    apply(declared)
    r = random.Random(seed)
    start = datetime(2026, 2, 1, tzinfo=UTC)
    rows = [event(r.choice("abc"), start + timedelta(minutes=r.randrange(5 * 24 * 60)), 1, float(i)) for i in range(300)]
    rows = list({(x["sensor"], x["at"]): x for x in rows}.values())
    declared.ingest("iot.readings", rows)
    sent = list(rows)
    for round_ in range(4):
        late = [event(x["sensor"], x["at"], r.choice([0, 2, 3 + round_]), -x["value"] - round_,
                      **({"_change_request_type": "d"} if r.random() < 0.4 else {})) for x in r.sample(rows, 60)]
        # one content per key and version, so that the order of arrival decides nothing
        late = [x for x in late if (x["sensor"], x["at"], x["v"]) not in {(y["sensor"], y["at"], y["v"]) for y in sent}]
        sent += late
        r.shuffle(late)
        declared.ingest("iot.readings", late)
        if round_ == 2:
            declared.mirror.lake.remove_index()
        assert visible(declared) == newest(sent), f"seed {seed}, round {round_}"
        files_by_day(declared)
    gone = table(declared).scan().to_arrow().num_rows
    assert 0 < gone < len(rows)


@pytest.mark.smoke
def test_small_files_are_merged_day_by_day(declared):  # noqa: F811
    apply(declared)
    start = datetime(2026, 3, 1, tzinfo=UTC)
    sent = []
    for i in range(40):
        rows = [event(f"s{i}", start + timedelta(days=d, seconds=i), i, float(i)) for d in range(6)]
        if i % 3 == 2:   # corrections, so that vectors are merged away, too
            rows += [event(f"s{i - 2}", start + timedelta(days=d, seconds=i - 2), i, -1.0) for d in range(6)]
        sent += rows
        declared.ingest("iot.readings", rows)
    files = files_by_day(declared)
    assert len(files) == 6 and max(len(f) for f in files.values()) < 20, {d: len(f) for d, f in files.items()}
    assert visible(declared) == newest(sent)
    declared.mirror.lake.remove_index()
    declared.ingest("iot.readings", [event("s0", start, 100, 7.0)])
    assert visible(declared) == newest(sent + [event("s0", start, 100, 7.0)])


def test_years_of_days_in_one_file(declared):  # noqa: F811
    apply(declared)
    path = declared.folder / "years.csv"
    with duckdb.connect() as db:
        db.execute("set timezone = 'UTC'; copy (select 's' || (i % 3) as sensor, timestamptz '2016-01-01 00:00:00+00' + to_hours(i::int * 13) as at, i as v, "
                   f"i / 8 as value from range(800) t(i) order by hash(i)) to '{path}' (header)")
        declared.run("ingest", "iot.readings", str(path))
        lake = table(declared).scan().to_arrow()   # noqa: F841  (DuckDB reads it by name)
        assert db.execute(f"select count(*) from (select * from lake except all select * from read_csv('{path}', types={{'sensor': 'varchar', "
                          "'at': 'timestamptz', 'v': 'bigint', 'value': 'double'}))").fetchone() == (0,)
    assert lake.num_rows == 800 and len(files_by_day(declared)) == 433
    for i in range(16):   # small files of all days at once, again and again
        path.write_text("sensor,at,v,value\n" + "".join(f"t{i},{datetime(2016, 1, 1, tzinfo=UTC) + timedelta(days=d)},1,{i}\n" for d in range(40)))
        declared.run("ingest", "iot.readings", str(path))
    assert table(declared).scan().to_arrow().num_rows == 800 + 16 * 40
    assert max(map(len, files_by_day(declared).values())) <= 2


def test_the_timestamp_may_be_renamed_and_its_name_with_day_may_be_taken(declared):  # noqa: F811
    declared.apply(READINGS.replace("value: float64", "value: float64, at_day: string"))
    declared.ingest("iot.readings", [event("a", "2026-01-01T10:00:00+00:00", 1, 1.0, at_day="x"), event("a", "2026-01-02T10:00:00+00:00", 1, 1.0)])
    assert table(declared).spec().fields[0].name == "at_day_" and len(files_by_day(declared)) == 2
    renamed = READINGS.replace("at: timestamptz not null", "moment: {type: timestamptz, required: true, renamed_from: at}").replace(
        "value: float64", "value: float64, at_day: string").replace("[sensor, at]", "[sensor, moment]").replace("timestamp: at", "timestamp: moment")
    declared.apply(renamed)
    rows = [{"sensor": "a", "moment": "2026-01-02T11:00:00Z", "v": 1}, {"sensor": "a", "moment": "2026-01-01T10:00:00Z", "v": 2}]
    declared.ingest("iot.readings", rows)
    assert table(declared).spec().fields[0].name == "moment_day"
    t = table(declared)
    after = GreaterThanOrEqual("moment", "2026-01-02T00:00:00+00:00")
    assert sorted((r["moment"].isoformat(), r["v"]) for r in t.scan(row_filter=after).to_arrow().to_pylist()) == [
        ("2026-01-02T10:00:00+00:00", 1), ("2026-01-02T11:00:00+00:00", 1)]
    assert sorted(r["v"] for r in t.scan().to_arrow().to_pylist()) == [1, 1, 2]


def test_timestamps_without_zone_and_odd_names(declared):  # noqa: F811
    declared.apply(READINGS.replace("at: timestamptz", '"Zeit, \'ä\'": timestamp').replace("[sensor, at]", '[sensor, "Zeit, \'ä\'"]')
                   .replace("timestamp: at", 'timestamp: "Zeit, \'ä\'"'))
    rows = [{"sensor": "a", "Zeit, 'ä'": f"2026-01-0{d}T23:59:59.999999", "v": d} for d in (1, 2, 3)]
    declared.ingest("iot.readings", rows)
    t = table(declared)
    assert t.spec().fields[0].name == "Zeit, 'ä'_day" and len(list(t.scan().plan_files())) == 3
    some = t.scan(row_filter=GreaterThanOrEqual("Zeit, 'ä'", "2026-01-02T00:00:00"))
    assert len(list(some.plan_files())) == 2 and sorted(r["v"] for r in some.to_arrow().to_pylist()) == [2, 3]


def test_expiry_and_erasing_by_day(declared):  # noqa: F811
    apply(declared)
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [event(s, now - timedelta(days=d, seconds=i), 1, float(d)) for d in (0, 40, 80, 120) for i, s in enumerate(["alice", "bob"])]
    declared.ingest("iot.readings", rows)
    declared.run("delete", "iot.readings", "--where", "sensor = 'alice' and value = 40", "--yes", "--until-erased")
    rows = [r for r in rows if (r["sensor"], r["value"]) != ("alice", 40.0)]
    assert visible(declared) == newest(rows)
    files_by_day(declared)
    declared.apply(READINGS + "    expire: P90D\n")
    declared.run("expire")
    assert visible(declared) == newest([r for r in rows if r["value"] < 90])
    assert len(files_by_day(declared)) == 3


def test_record_datasets_are_not_divided(declared):  # noqa: F811
    declared.apply(READINGS.replace("behavior: time-series", "behavior: record").replace("    timestamp: at\n", ""))
    declared.ingest("iot.readings", [event("a", f"2026-01-0{d}T00:00:00Z", 1) for d in (1, 2, 3)])
    assert table(declared).spec().fields == () and len(list(table(declared).scan().plan_files())) == 1
