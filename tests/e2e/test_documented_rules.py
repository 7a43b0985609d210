"""One test for each rule of the documented system that this program keeps, extends or decides; the name says the rule.

What a rule needs in depth is tested beside its feature; here each stands once, in a few lines.
"""
import json

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
