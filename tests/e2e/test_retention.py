"""snapshot_retention is a time: however many commits there are, the past that it promises can be read."""
import pytest

from test_http_push import Pushed, order


@pytest.fixture
def pushed(folder):
    m = Pushed(folder, "metadata_versions: 16\n")
    m.start()
    yield m
    m.kill()


def test_old_snapshots_outlive_many_commits(pushed):
    """80 commits with 16 snapshots to keep: the first one is still there, with its rows, the newest twelve are one for each commit, and there are no more than 16."""
    for i in range(80):
        assert pushed.push([order(i, 1)])[0] == 200
    table = pushed.lake.load(pushed.lake.pointers()[("sales", "orders")])
    snapshots = sorted(table.snapshots(), key=lambda s: s.sequence_number)
    assert len(snapshots) <= 16, [s.sequence_number for s in snapshots]
    numbers = [s.sequence_number for s in snapshots]
    assert numbers[-12:] == list(range(numbers[-1] - 11, numbers[-1] + 1)), numbers
    rows = sorted(table.scan(snapshot_id=snapshots[0].snapshot_id).to_arrow().column("id").to_pylist())
    assert rows == list(range(len(rows))) and len(rows) <= 2, "the first commits are in the past that is promised"
    # A sweep of a new start leaves what the old snapshot needs.
    assert pushed.stop() == 0
    pushed.start()
    table = pushed.lake.load(pushed.lake.pointers()[("sales", "orders")])
    assert table.scan(snapshot_id=snapshots[0].snapshot_id).to_arrow().num_rows == len(rows)
