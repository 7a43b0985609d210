"""One test for each rule of the documented system that this program keeps, extends or decides; the name says the rule.

What a rule needs in depth is tested beside its feature; here each stands once, in a few lines.
"""
# Each decision ("→") of the list of documented rules, in its order, and the test that would fail without it (test_rule_ left out):
#
# | → | test |
# |---|---|
# | for log sources the position is the version | a_mirrored_table_has_the_position_as_its_version, the_position_is_the_version_of_a_log_source |
# | (key, version, timestamp: mandatory, required, typed) | key_and_version_are_mandatory_…, key_fields_are_root_level_…, a_column_cannot_be_both_…, the_version_is_required_…, the_timestamp_is_… |
# | version: ties, tombstones, absent-row deletes | the_highest_version_wins_…, of_equal_versions_…, a_delete_of_an_unknown_key_…, versions_are_integers_dates_and_times |
# | time-series datasets are partitioned by day of the timestamp | time_series_datasets_are_partitioned_by_day |
# | evolution: rename, drop, widen; refuse what would lose data | evolution_adds_renames_drops_and_widens_…, a_new_key_is_checked_against_the_rows_first |
# | … and can back-fill a column in place | a_column_is_back_filled_in_place, a_back_fill_undoes_no_newer_change |
# | union: refuse it, in the API too | union_is_refused, union_is_refused_in_the_api_too |
# | other values of the control column: quarantined | other_change_types_are_quarantined |
# | complete rows by default; ignore_null_updates | rows_are_complete_unless_null_updates_are_ignored |
# | bad rows: quarantine, plus one-command replay | a_bad_row_is_quarantined_…, bad_rows_have_a_reason_each, quarantined_rows_are_replayed_by_one_command |
# | several sources feed one dataset, by version | several_sources_feed_one_dataset_by_version |
# | relationships: discovered, and declared by hand | relationships_are_discovered_…, relationships_are_declared_by_hand_…, relationships_take_a_candidate_key, cardinality_is_found_in_not_null_… |
# | … checked: orphans, violations, at one point | cardinality_is_informational_unless_asked_otherwise, relationships_are_checked_at_one_commit |
# | … junctions, and the many-to-many view | a_table_whose_key_is_two_foreign_keys_is_a_junction |
# | ways in: PostgreSQL, SQLite, files, HTTP push | postgres_is_a_way_in, the_position_is_the_version_…, several_sources_feed_…, pushed_changes_obey_key_and_version |
# | ways in: flattened changes, as Kafka connectors leave them | kafka_style_flattened_changes_are_read_like_envelopes |
# | ways in: Snowflake, Databricks, BigQuery, MySQL, Kafka | NONE: there are no such sources |
# | ways in: SQL, through the same key and version rules | results_of_sql_obey_key_version_and_quarantine |
# | ways in: files and DDL, no limits of size and number | csv_json_and_parquet_are_the_same, uploads_may_be_larger_than_100_mb, ddl_may_have_more_than_200_tables_and_10_mb |
# | 15 minutes, 20 %, 2 million: none of these limits | there_are_no_limits_of_rate_and_share, batches_need_no_minutes_…, two_million_changes_are_no_day |
# | wire shapes: our HTTP API accepts the same bodies | the_api_accepts_the_documented_schema_and_descriptors, a_schema_without_key_or_version_has_no_dataset, the_documented_bodies_are_accepted, the_documented_ddl_is_imported |
# | record delete: by key or predicate, with a preview | rows_are_deleted_by_key_or_predicate_with_a_preview, the_api_accepts_the_documented_work_order |
# | … across related datasets when asked; suppressed for good | a_delete_reaches_related_datasets_only_when_asked, a_deleted_row_is_suppressed_for_good |
# | … with a report of when the bytes are gone | a_report_says_when_the_bytes_are_gone |
# | expiry: per dataset, for record datasets too | expiry_is_a_period_of_each_dataset_of_either_behavior |
# | contradiction 1: check key uniqueness before a load | key_uniqueness_is_said_before_a_load |
# | contradiction 2: true lag per dataset, live | the_lag_is_told_per_dataset_and_live |
# | contradiction 3: control column accepted, stripped, said so | the_control_column_is_never_stored_and_said_so, change_request_type_is_u_or_d_… |
# | contradiction 4: verify | source_and_mirror_can_be_compared |
# | (what a user sees: editor, canvas, inventory, monitoring) | NONE: there is no browser UI; the list has no → there |
import json
import shutil
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import pyarrow
import pyarrow.parquet
import pytest

from test_http_api import DESCRIPTORS, ORDERS, SCHEMAS, api, body, erased, filled, ids  # noqa: F401  (fixture)
from test_http_push import order, pushed  # noqa: F401  (fixture)
from test_relationships import FAMILY, SCHOOL, check, declared, only, shop  # noqa: F401  (fixtures)


# ---- relationships ----

def test_rule_relationships_are_discovered_from_foreign_keys(shop):  # noqa: F811
    shop.execute("create table parents (id integer primary key); create table children (id integer primary key, parent integer references parents)")
    mirror = shop.mirror()
    mirror.catch_up()
    r = only(check(mirror))
    assert (r["child"], r["columns"], r["parent"], r["parent_columns"], r["discovered"]) == ("shop.children", ["parent"], "shop.parents", ["id"], True)


def test_rule_relationships_are_declared_by_hand_and_default_to_the_primary_key(declared):  # noqa: F811
    declared.apply(FAMILY.format(cardinality="M:1", type="int64", to="id", more="").replace(", to_columns: [id]", ""))
    r = only(check(declared.mirror))
    assert (r["relationship"], r["parent_columns"], r["discovered"], r["cardinality"]) == ("of", ["id"], False, "M:1")


def test_rule_relationships_take_a_candidate_key(declared):  # noqa: F811
    declared.apply(FAMILY.format(cardinality="M:0", type="string", to="code", more=""))
    declared.ingest("crm.parents", [{"id": 1, "v": 1, "code": "a"}])
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": "a"}, {"id": 2, "v": 1, "parent": "b"}])
    assert only(check(declared.mirror))["orphans"] == 1


def test_rule_cardinality_is_informational_unless_asked_otherwise(declared):  # noqa: F811
    """A child without a parent, and a second one of a 1:1 parent, are rows like any other; `check` reports them."""
    declared.apply(FAMILY.format(cardinality="1:1", type="int64", to="id", more=""))
    declared.ingest("crm.parents", [{"id": 1, "v": 1}])
    declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 1}, {"id": 2, "v": 1, "parent": 1}, {"id": 3, "v": 1, "parent": 9}])
    assert declared.column("crm.children") == [1, 2, 3] and declared.quarantine("crm.children") == []
    r = only(check(declared.mirror))
    assert (r["orphans"], r["crowded_parents"], r["violations"]) == (1, 1, 1) and len(r["samples"]) == 2


def test_rule_relationships_are_checked_at_one_commit(shop):  # noqa: F811
    shop.execute(SCHOOL)
    mirror = shop.mirror()
    mirror.catch_up()
    report = check(mirror)
    assert [p["source"] for p in report["positions"]] == ["shop"] and report["positions"][0]["position"]
    assert {(r["child"], tuple(r["columns"])): r["orphans"] for r in report["relationships"]} == {
        ("shop.enrolments", ("course_id",)): 1, ("shop.enrolments", ("student_id",)): 0,
        ("shop.follows", ("follower_id",)): 0, ("shop.follows", ("followee_id",)): 0}


def test_rule_a_table_whose_key_is_two_foreign_keys_is_a_junction(shop):  # noqa: F811
    shop.execute(SCHOOL)
    mirror = shop.mirror()
    mirror.catch_up()
    assert {j["junction"] for j in check(mirror)["junctions"]} == {"shop.enrolments", "shop.follows"}
    assert mirror.query("select count(*) as n from shop.students__courses") == [{"n": 3}]


def test_rule_cardinality_is_found_in_not_null_and_unique_constraints(shop):  # noqa: F811
    """1 on the right: a child must have a parent; 0: it may. 1 on the left: at most one child a parent."""
    columns = {"M:1": "not null", "M:0": "", "1:1": "not null unique", "1:0": "unique"}
    shop.execute("create table parents (id integer primary key);" + ";".join(
        f"create table c{i} (id integer primary key, p integer {words} references parents)" for i, words in enumerate(columns.values())))
    mirror = shop.mirror()
    mirror.catch_up()
    found = {r["child"]: r["cardinality"] for r in check(mirror)["relationships"]}
    assert found == {f"shop.c{i}": c for i, c in enumerate(columns)}


# ---- rows that cannot be used ----

def test_rule_a_bad_row_is_quarantined_and_the_rest_of_the_batch_ingested(declared):  # noqa: F811
    declared.apply(FAMILY.format(cardinality="M:0", type="int64", to="id", more=""))
    declared.ingest("crm.parents", [{"id": 1, "v": 1}, {"id": None, "v": 1}, {"id": 2}, {"id": "x", "v": 1}, {"id": 3, "v": 1}], code=7)
    assert declared.column("crm.parents") == [1, 3]
    bad = declared.quarantine("crm.parents")
    assert [b["position"].rsplit(":", 1)[-1] for b in bad] == ["2", "3", "4"] and [json.loads(b["raw"]).get("id") for b in bad] == [None, 2, "x"]


def test_rule_quarantined_rows_are_replayed_by_one_command(declared):  # noqa: F811
    declared.apply("schemas:\n  - {name: s.t, columns: {id: int64 not null, v: int64 not null, n: int32}, key: [id], version: v}\n")
    declared.ingest("s.t", [{"id": 1, "v": 1, "n": 2**40}], code=7)
    declared.apply("schemas:\n  - {name: s.t, columns: {id: int64 not null, v: int64 not null, n: int64}, key: [id], version: v}\n")
    assert "1 applied" in declared.run("quarantine", "replay", "s.t", "--all").stdout
    assert [r["n"] for r in declared.rows("s.t")] == [2**40] and declared.quarantine("s.t") == []


# ---- changes ----

ITEMS = "schemas:\n  - {{name: s.items, columns: {{id: int64 not null, v: {version} not null, name: string, n: int32}}, key: [id], version: v{more}}}\n"


def items(declared, version="int64", more=""):
    declared.apply(ITEMS.format(version=version, more=more))
    return declared


def state(declared, *columns, dataset="s.items"):
    return sorted(tuple(r[c] for c in columns or ("id", "v", "name")) for r in declared.rows(dataset))


def test_rule_change_request_type_is_u_or_d_in_either_case_and_upsert_when_absent(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": i, "v": 1, "name": "a"} for i in range(5)])
    declared.ingest("s.items", [{"id": i, "v": 2, "name": "b", "_change_request_type": t} for i, t in enumerate(["u", "U", "d", "D", None])])
    assert state(declared) == [(0, 2, "b"), (1, 2, "b"), (4, 2, "b")]


def test_rule_the_control_column_is_never_stored_and_said_so(declared):  # noqa: F811
    """One page there requires the column, another forbids it: here it is accepted, stripped, and said so."""
    items(declared)
    p = declared.ingest("s.items", [{"id": 1, "v": 1, "_change_request_type": "u"}])
    assert 'column "_change_request_type" tells the kind of change and is not stored' in p.stdout
    assert set(declared.rows("s.items")[0]) == {"id", "v", "name", "n"}
    p = declared.ingest("s.items", [{"id": 2, "v": 1}])          # nor is it missed
    assert "_change_request_type" not in p.stdout and state(declared, "id") == [(1,), (2,)]


def test_rule_other_change_types_are_quarantined(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1, "_change_request_type": "x"}, {"id": 2, "v": 1, "_change_request_type": "u"}], code=7)
    assert [b["reason"] for b in declared.quarantine("s.items")] == ["unknown_change_type"] and state(declared, "id") == [(2,)]


def test_rule_rows_are_complete_unless_null_updates_are_ignored(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "a", "n": 7}])
    declared.ingest("s.items", [{"id": 1, "v": 2, "n": 8}])
    assert state(declared, "name", "n") == [(None, 8)]
    items(declared, more=", ignore_null_updates: true")
    declared.ingest("s.items", [{"id": 1, "v": 3, "name": "b"}])
    assert state(declared, "name", "n") == [("b", 8)]


def test_rule_bad_rows_have_a_reason_each(declared):  # noqa: F811
    items(declared)
    path = declared.folder / "bad.ndjson"
    path.write_text('{"id": null, "v": 1}\n{"v": 1}\n{"id": 3}\n{"id": 4, "v": 1, "n": "many"}\n{"id": 5, "v": 1, "n": 4294967296}\n{"id": 6, "v"\n{"id": 7, "v": 1}\n')
    declared.run("ingest", "s.items", str(path), code=7)
    assert [b["reason"] for b in declared.quarantine("s.items")] == ["null_key", "null_key", "missing_version", "wrong_type", "value_out_of_range", "corrupt_row"]
    assert state(declared, "id") == [(7,)]


def test_rule_several_sources_feed_one_dataset_by_version(declared, folder):  # noqa: F811
    """Files of two folders, a command and a query: the highest version wins, whoever brings it."""
    items(declared)
    for name, version in (("east", 2), ("west", 4)):
        (folder / name).mkdir()
        (folder / name / "1.csv").write_text(f"id,v,name\n1,{version},{name}\n2,{6 - version},{name}\n")
    declared.mirror.config.write_text(f"lake: {declared.mirror.lake.folder}\nsources:\n" + "".join(
        f"  {n}: {{type: files, path: {folder / n}, dataset: s.items}}\n" for n in ("east", "west")))
    declared.mirror.catch_up()
    declared.run("sql", "insert into s.items select id, 3 as v, 'sql' as name from s.items")
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "late"}, {"id": 3, "v": 1, "name": "command"}])
    assert state(declared) == [(1, 4, "west"), (2, 4, "east"), (3, 1, "command")]


@pytest.mark.parametrize("kind", ["ndjson", "csv", "parquet"])
def test_rule_kafka_style_flattened_changes_are_read_like_envelopes(declared, kind):  # noqa: F811
    """Debezium's ExtractNewRecordState: __op and __deleted tell the kind, what else begins with __ is not the row's."""
    items(declared)
    rows = [{"id": 1, "v": 1, "name": "a", "__op": "c", "__deleted": "false", "__source_ts_ms": 5}, {"id": 2, "v": 1, "name": "b", "__op": "r", "__deleted": "false", "__source_ts_ms": 5},
            {"id": 1, "v": 2, "name": "a", "__op": "d", "__deleted": "true", "__source_ts_ms": 6}, {"id": 3, "v": 1, "name": "c", "__op": "u", "__deleted": "true", "__source_ts_ms": 6}]
    path = declared.folder / f"flat.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    elif kind == "csv":
        path.write_text(",".join(rows[0]) + "\n" + "".join(",".join(map(str, r.values())) + "\n" for r in rows))
    else:
        path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    p = declared.run("ingest", "s.items", str(path), "--strict-columns", code=7)
    assert state(declared) == [(2, 1, "b")] and "metadata" in p.stdout
    assert [b["reason"] for b in declared.quarantine("s.items")] == ["unknown_change_type"]           # the two contradict each other


# ---- the version ----

def test_rule_the_highest_version_wins_whatever_the_order(declared):  # noqa: F811
    items(declared)
    for versions in ([3, 1, 2], [1, 2, 3], [2, 3, 1]):
        for v in versions:
            declared.ingest("s.items", [{"id": versions[0], "v": v, "name": f"at {v}"}])
    assert state(declared) == [(i, 3, "at 3") for i in (1, 2, 3)]


def test_rule_of_equal_versions_a_delete_wins_and_else_the_later_arrival(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": i, "v": 1, "name": "first"} for i in (1, 2)])
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "second"}, {"id": 2, "v": 1, "_change_request_type": "d"}])
    declared.ingest("s.items", [{"id": 2, "v": 1, "name": "third"}])
    assert state(declared) == [(1, 1, "second")]


def test_rule_a_delete_of_an_unknown_key_keeps_an_older_upsert_out(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 5, "_change_request_type": "d"}])     # key and version are enough
    index = declared.mirror.lake.folder / ".index"
    assert index.exists()
    shutil.rmtree(index)                                                               # tombstones are not derived state
    declared.ingest("s.items", [{"id": 1, "v": 4, "name": "late"}, {"id": 2, "v": 1, "name": "b"}])
    assert state(declared, "id") == [(2,)]
    declared.ingest("s.items", [{"id": 1, "v": 6, "name": "new"}])
    assert state(declared, "id") == [(1,), (2,)]


@pytest.mark.parametrize("type, versions", [
    ("int32", [-5, 0, 7]), ("int64", [-2**62, 9, 10]), ("date", ["1969-12-31", "2024-01-09", "2024-01-10"]),
    ("timestamptz", ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.000001Z", "2024-01-01T03:00:00+02:00"])])
def test_rule_versions_are_integers_dates_and_times(declared, type, versions):  # noqa: F811
    items(declared, version=type)
    for i, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 2, 0])):
        for k in order:
            declared.ingest("s.items", [{"id": i, "v": versions[k], "name": str(k)}])
    assert state(declared, "id", "name") == [(0, "2"), (1, "2"), (2, "2")]


def test_rule_the_position_is_the_version_of_a_log_source(shop):  # noqa: F811
    """None need be declared: the latest state of the source wins."""
    shop.execute("create table t (id integer primary key, n int)")
    mirror = shop.mirror()
    mirror.catch_up()
    shop.execute("insert into t values (1, 9); update t set n = 3; update t set n = 5; update t set n = 1")
    mirror.catch_up()
    assert mirror.query("from shop.t") == [{"id": 1, "n": 1}]


# ---- ways in ----

def test_rule_there_are_no_limits_of_rate_and_share(declared):  # noqa: F811
    """There: 15 minutes between batches, at most 20 % of the rows a day. Here: all rows, again and again."""
    items(declared)
    for v in range(1, 6):
        declared.ingest("s.items", [{"id": i, "v": v} for i in range(1000)])
    assert state(declared, "id", "v") == [(i, 5) for i in range(1000)]


def test_rule_two_million_changes_are_no_day(declared):  # noqa: F811
    items(declared)
    for v in (1, 2):
        declared.run("sql", f"insert into s.items select range as id, {v} as v from range(1100000)")
    assert declared.mirror.query("select count(*) as n, sum(v) as v from s.items") == [{"n": 1_100_000, "v": 2_200_000}]


def test_rule_batches_need_no_minutes_between_them_and_are_visible_at_once(pushed):  # noqa: F811
    began = time.monotonic()
    for v in range(1, 31):
        assert pushed.push([order(i, v) for i in range(20)])[0] == 200
        if v % 10 == 0:
            assert set(pushed.orders().values()) == {("open", v)}
    assert time.monotonic() - began < 60 and pushed.dataset_status("sales.orders")["lag_seconds"] == 0


def test_rule_the_lag_is_told_per_dataset_and_live(shop):  # noqa: F811
    """There, "real-time" is 15 minutes to 2 hours. Here: how old the oldest change is that waits; time without changes is none."""
    shop.execute("create table a (id integer primary key); create table b (id integer primary key); insert into a values (1)")
    mirror = shop.mirror()
    mirror.write(f"  shop:\n    type: sqlite\n    path: {shop.path}\n", "commit_interval: 5s")
    mirror.start()

    def lags():
        return {d["dataset"]: d["lag_seconds"] for d in mirror.status()["datasets"]}
    mirror.until(lambda: lags() == {"shop.a": 0, "shop.b": 0}, "both to be caught up")
    shop.execute("insert into a values (2)")
    mirror.until(lambda: len(mirror.query("from shop.a")) == 2, "the first change")
    time.sleep(2.5)
    assert lags() == {"shop.a": 0, "shop.b": 0}
    growing = []
    for row in range(3, 9):                                         # a busy machine may look only once within an interval
        shop.execute(f"insert into a values ({row})")
        committed, seen = time.monotonic(), []
        while len(mirror.query("from shop.a")) < row:
            seen.append(lags()["shop.a"])
            assert seen[-1] < time.monotonic() - committed + 1.5, seen                   # never more than there is
            time.sleep(0.3)
        growing = [lag for lag in seen if lag > 0]
        if len(growing) >= 2:
            break
    assert len(set(growing)) >= 2 and max(growing) > 1 and growing == sorted(growing), seen
    mirror.until(lambda: lags() == {"shop.a": 0, "shop.b": 0}, "the lag to fall")
    assert mirror.stop() == 0
    ended = lags()                                                  # nobody knows any more: at most the time since it was last known, which grows
    mirror.until(lambda: all(lags()[d] > ended[d] > 0 for d in ("shop.a", "shop.b")), "the lag to grow")


def test_rule_source_and_mirror_can_be_compared(shop):  # noqa: F811
    """No comparison exists there. Here `verify` compares content, not counts."""
    shop.execute("create table t (id integer primary key, name text); insert into t values (1, 'a'), (2, 'b'), (3, 'c')")
    mirror = shop.mirror(options="compression: uncompressed")
    mirror.catch_up()
    mirror.start()
    p = mirror.with_config("verify", "--json")
    assert p.returncode == 0, p.stdout + p.stderr
    mirror.stop()
    path = list(mirror.lake.dataset("shop", "t").table.scan().plan_files())[0].file.file_path.removeprefix("file://")
    content = Path(path).read_bytes()
    assert content.count(b"\x01\x00\x00\x00b") == 1
    Path(path).write_bytes(content.replace(b"\x01\x00\x00\x00b", b"\x01\x00\x00\x00B"))  # of the same length: another one is noticed before
    p = mirror.with_config("verify")
    assert p.returncode == 1 and "2" in p.stdout, p.stdout + p.stderr


def test_rule_postgres_is_a_way_in(database):
    database.execute("create table t (id int primary key, name text); insert into t values (1, 'a'), (2, 'b')")
    mirror = database.mirror()
    mirror.catch_up()
    database.execute("update t set name = 'c' where id = 1; delete from t where id = 2")
    mirror.catch_up()
    assert mirror.query("from shop.t") == [{"id": 1, "name": "c"}]


def test_rule_uploads_may_be_larger_than_100_mb(declared):  # noqa: F811
    items(declared)
    path = declared.folder / "large.ndjson"
    with open(path, "w") as f:
        for i in range(1100):
            f.write(json.dumps({"id": i, "v": 1, "name": chr(97 + i % 26) * 100_000}) + "\n")
    assert path.stat().st_size > 105_000_000
    declared.run("ingest", "s.items", str(path))
    assert declared.mirror.query("select count(*) as n, sum(length(name)) as bytes from s.items") == [{"n": 1100, "bytes": 110_000_000}]


def test_rule_ddl_may_have_more_than_200_tables_and_10_mb(declared):  # noqa: F811
    path = declared.folder / "many.sql"
    path.write_text("".join(f"CREATE TABLE t{i} (id INT PRIMARY KEY, v BIGINT NOT NULL); -- {'x' * 50_000}\n" for i in range(220)))
    assert path.stat().st_size > 10_500_000
    declared.run("schema", "apply", str(path), "--namespace", "big", "--version", "v")
    assert declared.run("schema", "list", "--json").stdout.count('"big.t') >= 220


def test_rule_csv_json_and_parquet_are_the_same(declared):  # noqa: F811
    items(declared)
    table = pyarrow.table({"id": pyarrow.array([1, 2], pyarrow.int64()), "v": [1, 1], "name": ["a", None], "n": pyarrow.array([5, 6], pyarrow.int32())})
    pyarrow.parquet.write_table(table, declared.folder / "a.parquet")
    (declared.folder / "a.csv").write_text("id,v,name,n\n1,1,a,5\n2,1,,6\n")
    (declared.folder / "a.json").write_text('[{"id": 1, "v": 1, "name": "a", "n": 5}, {"id": 2, "v": 1, "name": null, "n": 6}]')
    for name in ("a.parquet", "a.csv", "a.json"):
        items(declared)
        declared.run("ingest", "s.items", str(declared.folder / name))
        assert state(declared, "id", "v", "name", "n") == [(1, 1, "a", 5), (2, 1, None, 6)]
        declared.run("schema", "drop", "s.items", "--drop-rows")


def test_rule_pushed_changes_obey_key_and_version(pushed):  # noqa: F811
    status, answer, _ = pushed.push([order(1, 2, "sent"), order(1, 1), order(2, 1), {"id": 2, "version": 1, "_change_request_type": "d"}, order(3, 1, "lost")])
    assert status == 200 and pushed.orders() == {1: ("sent", 2)}
    assert (answer["upserted"], answer["deleted"], answer["stale"], answer["quarantined"]) == (2, 1, 1, 1)


def test_rule_results_of_sql_obey_key_version_and_quarantine(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": i, "v": 5, "name": "a"} for i in (1, 2, 3)])
    declared.run("sql", "insert into s.items select id, v + id - 2 as v, 'sql' as name, case id when 2 then 'd' end as _change_request_type from s.items "
                 "union all select null, 1, 'no key', null", code=7)
    assert state(declared) == [(1, 5, "a"), (3, 6, "sql")]
    assert [b["reason"] for b in declared.quarantine("s.items")] == ["null_key"]


def test_rule_key_uniqueness_is_said_before_a_load(declared):  # noqa: F811
    """The quick start there: 20 rows, 5 pairs of one (person, time): 15 survive. A dry run says so."""
    declared.apply("schemas:\n  - {name: quick.people, behavior: time-series, columns: {personid: int64 not null, timestamp: timestamptz not null, "
                   "id: int64 not null}, key: [personid, timestamp], version: id, timestamp: timestamp}\n")
    keys = [(p, f"2024-05-01T00:00:{p:02d}Z") for p in range(15)]
    path = declared.folder / "people.csv"
    path.write_text("personid,timestamp,id\n" + "".join(f"{p},{t},{i}\n" for i, (p, t) in enumerate(keys + keys[:5], 1)))
    p = declared.run("ingest", "quick.people", str(path), "--dry-run")
    assert "20 rows" in p.stdout and "keys: 15 new, 5 there already" in p.stdout
    assert declared.rows("quick.people") == []
    declared.run("ingest", "quick.people", str(path))
    assert [r["id"] for r in sorted(declared.rows("quick.people"), key=lambda r: r["personid"])] == [16, 17, 18, 19, 20, *range(6, 16)]


def test_rule_a_new_key_is_checked_against_the_rows_first(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "a"}, {"id": 2, "v": 2, "name": "a"}])
    p = declared.apply(ITEMS.format(version="int64", more="").replace("key: [id]", "key: [name]").replace("name: string", "name: string not null"), code=2)
    assert "name" in p.stderr and state(declared, "id") == [(1,), (2,)]


# ---- deletes and expiry ----

def test_rule_rows_are_deleted_by_key_or_predicate_with_a_preview(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": i, "v": 1, "name": "abc"[i % 3]} for i in range(9)])
    preview = json.loads(declared.run("delete", "s.items", "--where", "name = 'a'", "--dry-run", "--json").stdout)
    assert preview["datasets"][0]["rows"] == 3 and len(declared.rows("s.items")) == 9
    declared.run("delete", "s.items", "--where", "name = 'a'", "--yes")
    declared.run("delete", "s.items", "1", "--yes")
    assert state(declared, "id") == [(2,), (4,), (5,), (7,), (8,)]


def test_rule_a_delete_reaches_related_datasets_only_when_asked(declared):  # noqa: F811
    for arguments, children in (([], [1, 2]), (["--related"], [2])):
        declared.apply(FAMILY.format(cardinality="M:0", type="int64", to="id", more=""))
        declared.ingest("crm.parents", [{"id": 1, "v": 1}, {"id": 2, "v": 1}])
        declared.ingest("crm.children", [{"id": 1, "v": 1, "parent": 1}, {"id": 2, "v": 1, "parent": 2}])
        declared.run("delete", "crm.parents", "1", "--yes", *arguments)
        assert declared.column("crm.parents") == [2] and declared.column("crm.children") == children
        declared.run("delete", "crm.parents", "1", "--unsuppress", "--yes")


def test_rule_a_deleted_row_is_suppressed_for_good(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1}, {"id": 2, "v": 1}])
    declared.run("delete", "s.items", "1", "--yes")
    p = declared.ingest("s.items", [{"id": 1, "v": 99}, {"id": 3, "v": 1}])
    declared.run("sql", "insert into s.items select 1 as id, 100 as v")
    assert state(declared, "id") == [(2,), (3,)] and "1 suppressed" in p.stdout


def test_rule_a_report_says_when_the_bytes_are_gone(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "secret"}, {"id": 2, "v": 1}])
    declared.run("delete", "s.items", "1", "--until-erased", "--yes")
    report = json.loads(declared.run("delete", "--show", "1", "--json").stdout)
    assert report["status"] == "erased" and "the last byte was gone at" in declared.run("delete", "--show", "1").stdout


@pytest.mark.parametrize("behavior", ["record", "time-series"])
def test_rule_expiry_is_a_period_of_each_dataset_of_either_behavior(declared, behavior):  # noqa: F811
    series = behavior == "time-series"
    declared.apply(f"schemas:\n  - {{name: s.e, behavior: {behavior}, columns: {{id: int64 not null, at: timestamptz not null, v: timestamptz not null}}, "
                   f"key: {'[id, at], timestamp: at' if series else '[id]'}, version: v, expire: P3M}}\n")
    now = datetime.now(timezone.utc)
    old, new = (now - timedelta(days=100)).isoformat(), (now - timedelta(days=80)).isoformat()
    at = "at" if series else "v"         # the other time does not count
    other = "v" if series else "at"
    declared.ingest("s.e", [{"id": 1, at: old, other: new}, {"id": 2, at: new, other: old}])
    declared.run("expire")
    assert [r["id"] for r in declared.rows("s.e")] == [2]


# ---- schemas ----

def test_rule_evolution_adds_renames_drops_and_widens_with_data_and_refuses_what_would_lose_it(declared):  # noqa: F811
    items(declared)
    declared.ingest("s.items", [{"id": 1, "v": 1, "name": "a", "n": 7}])
    def wanted(columns, more=""):
        return f"schemas:\n  - {{name: s.items, columns: {{id: int64 not null, v: int64 not null, {columns}}}, key: [id], version: v{more}}}\n"
    assert declared.apply(wanted("name: string, n: date"), code=2).stderr
    assert "n" in declared.apply(wanted("name: string"), code=2).stderr                   # holds values
    declared.apply(wanted("title: {type: string, renamed_from: name}, n: int64, more: date"))
    assert state(declared, "id", "v", "title", "n", "more") == [(1, 1, "a", 7, None)]
    declared.apply(wanted("title: string, more: date", ", drop_columns: [n]"))
    assert set(declared.rows("s.items")[0]) == {"id", "v", "title", "more"}


def test_rule_a_column_is_back_filled_in_place(declared):  # noqa: F811
    """Each row again with its own version: of equal versions the later arrival wins. Other columns, keys and versions stay."""
    items(declared)
    declared.ingest("s.items", [{"id": i, "v": i, "name": f"n{i}", "n": None if i == 2 else i} for i in range(1, 4)])
    declared.apply(ITEMS.format(version="int64", more="").replace("n: int32", "n: int32, label: string"))
    p = declared.run("sql", "INSERT INTO s.items SELECT * REPLACE (name || '-' || v AS label) FROM s.items")
    assert "3 upserted" in p.stdout and "0 stale" in p.stdout
    assert state(declared, "id", "v", "name", "n", "label") == [(1, 1, "n1", 1, "n1-1"), (2, 2, "n2", None, "n2-2"), (3, 3, "n3", 3, "n3-3")]
    declared.run("sql", "INSERT INTO s.items SELECT * REPLACE (NULL AS label) FROM s.items WHERE id = 2")     # some rows; also back to null
    assert state(declared, "id", "label") == [(1, "n1-1"), (2, None), (3, "n3-3")]
    declared.ingest("s.items", [{"id": 1, "v": 2, "name": "new"}])                                             # and later changes win as ever
    assert state(declared, "id", "v", "label") == [(1, 2, None), (2, 2, None), (3, 3, "n3-3")]


def test_rule_a_back_fill_undoes_no_newer_change(pushed):  # noqa: F811
    """Changes that come while the query runs have higher versions: the back-fill of those rows is stale."""
    assert pushed.push([order(i, 1) for i in range(50)])[0] == 200
    ending, last = threading.Event(), {}

    def load():
        v = 1
        while not ending.is_set():
            v += 1
            assert pushed.push([order(i, v, "done") for i in range(25)])[0] == 200
            last["v"] = v
    t = threading.Thread(target=load)
    t.start()
    try:
        for _ in range(3):
            p = pushed.with_config("sql", "INSERT INTO sales.orders SELECT * REPLACE ('sent' AS status) FROM sales.orders")
            assert p.returncode == 0, p.stderr
    finally:
        ending.set()
        t.join(60)
    rows = pushed.orders()
    assert all(rows[i][1] == last["v"] for i in range(25)) and all(rows[i] == ("sent", 1) for i in range(25, 50))


# ---- relational schemas ----

def refuse(declared, text, *words):  # noqa: F811
    message = declared.apply(text, code=2).stderr
    assert all(word in message for word in words), message
    return message


def table(columns, rest="", name="s.t"):
    return f"schemas:\n  - {{name: {name}, columns: {{{columns}}}{', ' if rest else ''}{rest}}}\n"


def test_rule_behavior_is_record_unless_time_series_is_said(declared):  # noqa: F811
    declared.apply(table("id: int64 key, v: int64 version") + table("id: int64 key, t: timestamptz key, v: int64 version",
                                                                    "behavior: time-series, timestamp: t", "s.e").removeprefix("schemas:\n"))
    found = {s["schema"]: s for s in map(json.loads, declared.run("schema", "list", "--json").stdout.splitlines())}
    assert (found["s.t"]["behavior"], found["s.e"]["behavior"], found["s.e"]["timestamp"]) == ("record", "time-series", "t")


def test_rule_key_and_version_are_mandatory_for_declared_schemas(declared):  # noqa: F811
    refuse(declared, table("id: int64 not null, v: int64 version"), "s.t: there is no primary key")
    refuse(declared, table("id: int64 key, v: int64 not null"), "s.t: there is no version column")


def test_rule_a_mirrored_table_has_the_position_as_its_version(shop):  # noqa: F811
    shop.execute("create table t (id integer primary key)")
    mirror = shop.mirror()
    mirror.catch_up()
    listed = [json.loads(line) for line in mirror.with_config("schema", "list", "--json").stdout.splitlines()]
    assert [(s["schema"], s["key"], s["version"]) for s in listed] == [("shop.t", ["id"], "(position)")]


def test_rule_key_fields_are_root_level_and_required_and_a_time_series_key_includes_the_timestamp(declared):  # noqa: F811
    refuse(declared, table("id: int64, v: int64 version", "key: id"), "column \"id\" is part of the primary key and must be required")
    refuse(declared, table("id: int64, v: int64 version", "key: address/zip"), "not a column", "root level")
    series = "behavior: time-series, timestamp: t, "
    refuse(declared, table("id: int64 not null, t: timestamptz not null, v: int64 version", series + "key: [id, v]"), "both")
    refuse(declared, table("id: int64 not null, u: int64 not null, t: timestamptz not null, v: int64 version", series + "key: [id, u]"),
           "must include its timestamp \"t\"")
    refuse(declared, table("t: timestamptz not null, v: int64 version", series + "key: t"), "composite")


def test_rule_a_column_cannot_be_both_key_and_version(declared):  # noqa: F811
    refuse(declared, table("id: int64 key", "version: id"), "column \"id\" cannot be both part of the primary key and the version")


def test_rule_the_version_is_required_and_a_time_or_a_number(declared):  # noqa: F811
    refuse(declared, table("id: int64 key, v: int64", "version: v"), "column \"v\" is the version and must be required")
    refuse(declared, table("id: int64 key, v: boolean version"), "column \"v\" is the version and cannot be boolean")
    for i, good in enumerate(["int64", "int32", "smallint", "date", "timestamp", "timestamptz", "'decimal(9,2)'", "string"]):
        declared.apply(table(f"id: int64 key, v: {{type: {good}, version: true}}", name=f"s.t{i}"))


def test_rule_the_timestamp_is_a_required_date_time_of_time_series_only(declared):  # noqa: F811
    refuse(declared, table("id: int64 key, t: timestamptz not null, v: int64 version", "timestamp: t"), "only a time-series schema has a timestamp")
    refuse(declared, table("id: int64 key, t: timestamptz key, v: int64 version", "behavior: time-series"), "needs a timestamp")
    refuse(declared, table("id: int64 key, t: date key, v: int64 version", "behavior: time-series, timestamp: t"), "must be a date-time, not date")


def test_rule_time_series_datasets_are_partitioned_by_day(declared):  # noqa: F811
    declared.apply("schemas:\n  - {name: s.events, behavior: time-series, columns: {id: int64 not null, at: timestamptz not null, v: int64 not null}, "
                   "key: [id, at], timestamp: at, version: v}\n")
    declared.ingest("s.events", [{"id": i, "at": f"2026-05-0{d}T12:00:00Z", "v": 1} for i in range(3) for d in (1, 2, 3, 4)])
    table = declared.mirror.lake.dataset("s", "events").table
    assert [(f.name, str(f.transform)) for f in table.spec().fields] == [("at_day", "day")]
    assert sorted(t.file.record_count for t in table.scan().plan_files()) == [3, 3, 3, 3]
    assert len(list(table.scan(row_filter="at >= '2026-05-04T00:00:00+00:00'").plan_files())) == 1


def test_rule_union_is_refused(declared):  # noqa: F811
    refuse(declared, table("id: int64 key, v: int64 version", "union: true"), "union")
    body = {"title": "s.t", "type": "object", "meta:immutableTags": ["union"],
            "definitions": {"customFields": {"type": "object", "properties": {"id": {"type": "string"}}}}}
    p = declared.run("schema", "apply", "-", code=2, stdin=json.dumps(body))
    assert "union" in p.stderr


def test_rule_nothing_is_inherited(declared):  # noqa: F811
    body = {"title": "s.t", "type": "object", "allOf": [{"$ref": "https://ns.adobe.com/xdm/context/profile"}],
            "definitions": {"customFields": {"type": "object", "properties": {"id": {"type": "string"}}}}}
    assert "inherits no fields" in declared.run("schema", "apply", "-", code=2, stdin=json.dumps(body)).stderr


def test_rule_the_control_column_is_never_stored(declared):  # noqa: F811
    refuse(declared, table("id: int64 key, v: int64 version, _change_request_type: string"), "reserved")


def test_rule_relationships_need_root_level_columns_of_comparable_types(declared):  # noqa: F811
    parent = "schemas:\n  - {name: s.p, columns: {id: int64 key, v: int64 version}}\n"
    child = "  - {{name: s.c, columns: {{id: int64 key, p: {type}, v: int64 version}}, relationships: [{{columns: {columns}, to: s.p}}]}}\n"
    refuse(declared, parent + child.format(type="string", columns="p"), "comparable types", "\"p\" is string")
    refuse(declared, parent + child.format(type="int64", columns="q"), "there is no column \"q\"")
    declared.apply(parent + child.format(type="int32", columns="p"))


def test_rule_many_to_many_needs_a_junction(declared):  # noqa: F811
    refuse(declared, table("id: int64 key, v: int64 version", "relationships: [{columns: id, to: s.t, cardinality: 'M:M'}]"), "junction")


def test_rule_the_documented_bodies_are_accepted(declared):  # noqa: F811
    body = {"title": "marketing.customers", "type": "object", "description": "who",
            "definitions": {"customFields": {"type": "object", "properties": {
                "customer_id": {"title": "Customer ID", "type": "string", "minLength": 1}, "name": {"type": "string"},
                "email": {"type": "string", "format": "email", "minLength": 1}, "updated_at": {"type": "string", "format": "date-time"}},
                "required": ["customer_id", "updated_at"]}},
            "allOf": [{"$ref": "#/definitions/customFields", "meta:xdmType": "object"}],
            "meta:extends": ["https://ns.adobe.com/xdm/data/adhoc-v2"], "meta:behaviorType": "record"}
    key = {"@type": "xdm:descriptorPrimaryKey", "xdm:sourceSchema": "marketing.customers", "xdm:sourceProperty": ["/customer_id"]}
    version = {"@type": "xdm:descriptorVersion", "xdm:sourceSchema": "marketing.customers", "xdm:sourceProperty": "/updated_at"}
    declared.run("schema", "apply", "-", stdin=json.dumps([body, key, version]))
    declared.ingest("marketing.customers", [{"customer_id": "a", "updated_at": "2026-01-01T00:00:00Z"}, {"customer_id": "", "updated_at": "2026-01-01T00:00:00Z"}], code=7)
    assert declared.column("marketing.customers", "customer_id") == ["a"]


# ---- the HTTP API: the documented bodies ----

CUSTOMERS = {"title": "marketing.customers", "type": "object", "description": "…",
             "definitions": {"customFields": {"type": "object", "properties": {
                 "customer_id": {"title": "Customer ID", "type": "string", "minLength": 1}, "name": {"type": "string"},
                 "email": {"type": "string", "format": "email", "minLength": 1}, "updated_at": {"type": "string", "format": "date-time"}},
                 "required": ["customer_id", "updated_at"]}},
             "allOf": [{"$ref": "#/definitions/customFields", "meta:xdmType": "object"}],
             "meta:extends": ["https://ns.adobe.com/xdm/data/adhoc-v2"], "meta:behaviorType": "record"}


def test_rule_the_api_accepts_the_documented_schema_and_descriptors(api):  # noqa: F811
    s = api.ok("POST", SCHEMAS, CUSTOMERS, 201)
    assert all(s[k] for k in ("$id", "meta:altId", "meta:resourceType", "meta:containerId")) and s["version"] == "1.0"
    assert {k: v for k, v in s.items() if k in ("title", "type", "description", "allOf", "meta:extends", "meta:behaviorType")} == {
        k: v for k, v in CUSTOMERS.items() if k != "definitions"}
    key = api.ok("POST", DESCRIPTORS, {"@type": "xdm:descriptorPrimaryKey", "xdm:sourceSchema": s["$id"], "xdm:sourceProperty": ["/customer_id"]}, 201)
    version = api.ok("POST", DESCRIPTORS, {"@type": "xdm:descriptorVersion", "xdm:sourceSchema": s["$id"], "xdm:sourceProperty": "/updated_at"}, 201)
    events = api.create("web.events", ["who", "eventTime", "n"], "time-series", who="string", eventTime="time", n="long", customer_ref="string")
    for kind, prop in (("PrimaryKey", ["/who", "/eventTime"]), ("Version", "/n"), ("Timestamp", "/eventTime")):
        api.ok("POST", DESCRIPTORS, {"@type": f"xdm:descriptor{kind}", "xdm:sourceSchema": events["$id"], "xdm:sourceProperty": prop}, 201)
    r = api.ok("POST", DESCRIPTORS, {
        "@type": "xdm:descriptorRelationship", "xdm:sourceSchema": events["$id"], "xdm:sourceVersion": 1, "xdm:sourceProperty": "/customer_ref",
        "xdm:destinationSchema": s["$id"], "xdm:destinationProperty": "/customer_id", "xdm:sourceToDestinationName": "CampaignToCustomer",
        "xdm:destinationToSourceName": "CustomerToCampaign", "xdm:cardinality": "M:1"}, 201)
    one = f"{DESCRIPTORS}/{quote(r['@id'], safe='')}"
    assert api.ok("GET", one) == r and api.ok("GET", DESCRIPTORS)["_page"]["count"] == 6
    assert api.ok("PUT", one, {**r, "xdm:cardinality": "M:0"}, 201)["xdm:cardinality"] == "M:0"
    assert api.send("DELETE", one)[0] == 204 and {d["@id"] for d in api.ok("GET", DESCRIPTORS)["results"]} >= {key["@id"], version["@id"]}
    assert api.push([{"customer_id": "a", "updated_at": "2026-01-01T00:00:00Z"}], dataset="marketing.customers")[1]["upserted"] == 1
    assert api.push([{"who": "a", "eventTime": "2026-01-01T00:00:00Z", "n": 1}], dataset="web.events")[1]["upserted"] == 1


def test_rule_union_is_refused_in_the_api_too(api):  # noqa: F811
    for key in ("meta:immutableTags", "meta:tags", "tags"):
        api.refused("POST", SCHEMAS, {**CUSTOMERS, key: ["union"]}, 400, "union", "marketing.customers")
    api.ok("POST", SCHEMAS, CUSTOMERS, 201)
    api.refused("PUT", f"{SCHEMAS}/marketing.customers", {**CUSTOMERS, "meta:immutableTags": ["union"]}, 400, "union")


def test_rule_a_schema_without_key_or_version_has_no_dataset(api):  # noqa: F811
    """Both descriptors are mandatory: until they are there, nothing can be ingested, and it is said what is missing."""
    s = api.ok("POST", SCHEMAS, CUSTOMERS, 201)
    row = {"customer_id": "a", "updated_at": "2026-01-01T00:00:00Z"}
    assert "primary key, version" in api.push([row], dataset="marketing.customers")[1]["error"]["message"]
    api.describe("PrimaryKey", s["$id"], ["/customer_id"])
    assert "still needs version" in api.push([row], dataset="marketing.customers")[1]["error"]["message"]
    api.describe("Version", s["$id"], "/updated_at")
    assert api.push([row], dataset="marketing.customers")[0] == 200


def test_rule_the_api_accepts_the_documented_work_order(api):  # noqa: F811
    filled(api)
    order = api.ok("POST", ORDERS, {"displayName": "Delete P1", "description": "as asked", "action": "delete_identity", "datasetId": "ALL",
                                    "identities": [{"namespace": {"code": "email"}, "id": "p1@example.com"}]}, 201)
    assert order["workorderId"] and order["status"] and order["createdAt"] and order["updatedAt"] and ids(api) == [0, 2, 3, 4, 5]
    api.push([{"id": 1, "v": 9}], dataset="s.items")                            # it does not come back with the next refresh
    assert ids(api) == [0, 2, 3, 4, 5] and erased(api, order)["erasedAt"]


def test_rule_the_documented_ddl_is_imported(declared):  # noqa: F811
    path = declared.folder / "orders.sql"
    path.write_text("CREATE TABLE orders (order_id INT NOT NULL, product_id INT NOT NULL, order_date DATE NOT NULL,\n customer_id INT NOT NULL, "
                    "quantity INT NOT NULL,\n order_status enum('PENDING','SHIPPED','DELIVERED','CANCELLED'), PRIMARY KEY(order_id, product_id));\n")
    declared.run("schema", "apply", str(path), "--version", "order_date")
    row = {"order_id": 1, "product_id": 2, "order_date": "2026-01-01", "customer_id": 3, "quantity": 4}
    declared.ingest("default.orders", [{**row, "order_status": "SHIPPED"}, {**row, "order_id": 2, "order_status": "LOST"}], code=7)
    assert [(r["order_id"], r["product_id"], r["order_status"]) for r in declared.rows("default.orders")] == [(1, 2, "SHIPPED")]
    assert [b["reason"] for b in declared.quarantine("default.orders")] == ["not_allowed_value"]
