"""The dashboards of deploy/grafana: every panel's query runs against a real PostgreSQL, returns rows, looks at no partition that it need not, and uses an index."""
import json
import re
import time

import pytest
from conftest import ROOT, Weir, until
from postgres import PASSWORD, Postgres

DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))}
SQL = [(uid, panel["title"], target["rawSql"]) for uid, board in DASHBOARDS.items() for panel in board["panels"] for target in panel["targets"] if "rawSql" in target]
RANGE = "5 minutes"  # of 17 hours of rows: what is asked for is little of what is there


def test_the_users_dashboard_is_the_documents():
    """S2-9: uid, refresh, range."""
    board = DASHBOARDS["realtime_users_001"]
    assert (board["uid"], board["refresh"], board["time"]) == ("realtime_users_001", "1s", {"from": "now-5m", "to": "now"})
    assert all(panel["datasource"]["uid"] in ("weir-postgresql", "weir-prometheus") for d in DASHBOARDS.values() for panel in d["panels"])


def middle_of_the_month():
    """The rows' newest time where a panel only asks for the dashboard's range: whatever the day is, its partition holds all of them."""
    return time.strftime("%Y-%m-15T12:00:00Z", time.gmtime())


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Tables as weir makes them, with a month that nobody asks for, and rows up to the middle of this one."""

    postgres = Postgres()
    weir = Weir(tmp_path_factory.mktemp("weir"), f"""
[log]
path = "@FOLDER@/data"
[gateway]
port = @PORT@
[stores.warehouse]
kind = "postgresql"
url = "{postgres.url()}"
[[stores.warehouse.mapped]]
stream = "users"
preset = "incoming_users"
""", env={"DB_PASSWORD": PASSWORD}).start()
    for stream, kind in [("pools", "reading"), ("pools.5min", "window"), ("spc", "sample"), ("spc", "violation"), ("spc", "ack_update")]:
        assert weir.post(f"/api/v1/streams/{stream}/events", [{"id": kind, "type": kind, "key": "old", "time": "2020-01-15T00:00:00Z", "data": {}}])[0] == 200
    until(lambda: postgres.one("SELECT count(*) FROM weir.partitions WHERE name LIKE '%_2020_01'") == "5", "the tables are there")
    weir.stop()
    common = "'s', 'e', g, g::text, 't', 'K' || g % 5, 'push'"
    times = f"timestamptz '{middle_of_the_month()}' - g * interval '1 second', now()"
    old = "timestamptz '2020-01-20' - g * interval '1 second', now()"
    names = "time, ingested, stream, epoch, seq, id, type, key, source"
    for at in (times, old):
        postgres.sql(f"""
INSERT INTO weir.events ({names}, data) SELECT {at}, {common}, '{{}}' FROM generate_series(1, 60000) g;
INSERT INTO weir.windows ({names}, name, revision, avg, min, max, count, expected, coverage, complete, data)
  SELECT {at}, {common}, '5min', 0, 1, 0, 2, 3, 4, 0.75, g % 2 = 0, '{{}}' FROM generate_series(1, 60000) g;
INSERT INTO weir.samples ({names}, characteristic_id, value, zone, in_control, data) SELECT {at}, {common}, 1, 10.5, 'zone_a_upper', g % 9 > 0, '{{}}' FROM generate_series(1, 60000) g;
INSERT INTO weir.violations ({names}, data) SELECT {at}, {common}, '{{}}' FROM generate_series(1, 60000) g;
INSERT INTO weir.acknowledgements ({names}, data) SELECT {at}, {common}, '{{}}' FROM generate_series(1, 60000) g;""")
    postgres.sql("""INSERT INTO public.incoming_users (user_uuid, gender, country, created_at) SELECT gen_random_uuid(), 'female', 'C' || g % 7, now() - g * interval '1 second'
                    FROM generate_series(1, 60000) g""")
    postgres.sql("ANALYZE")
    yield postgres
    postgres.stop()


def substituted(sql):
    """As Grafana does it: the macro becomes the dashboard's range, in literals."""
    return re.sub(r"\$__timeFilter\((\w+)\)", lambda m: f"{m[1]} BETWEEN '@FROM@' AND '@TO@'", sql)


@pytest.mark.parametrize("uid, title, sql", SQL, ids=[f"{uid}: {title}" for uid, title, _ in SQL])
def test_each_panel_returns_rows_and_reads_only_what_it_needs(filled, uid, title, sql):
    # A little ahead, since the rows were made before.
    newest = "now()" if "incoming_users" in sql else f"timestamptz '{middle_of_the_month()}'"
    start, end = filled.sql(f"SELECT {newest} - interval '{RANGE}' - interval '1 minute', {newest} + interval '1 minute'")[0]
    query = substituted(sql).replace("@FROM@", start).replace("@TO@", end)
    assert "$__" not in query
    assert filled.sql(query), "no rows"
    plan = "\n".join(row[0] for row in filled.sql("EXPLAIN " + query))
    assert "2020_01" not in plan, plan
    assert "Index" in plan or "Bitmap" in plan, plan


def test_each_metric_of_the_prometheus_panels_is_there(weir, tmp_path):
    """A weir with a feed and a store that cannot reach its database has them all."""
    w = weir(f"""
[log]
path = "@FOLDER@/data"
[gateway]
port = @PORT@
[feeds.users]
[[feeds.users.sources]]
kind = "simulate"
generator = "users"
[stores.warehouse]
kind = "postgresql"
url = "postgresql://nobody@127.0.0.1:1/none"
""")
    text = w.get("/metrics", raw=True)
    for panel in DASHBOARDS["weir_self_001"]["panels"]:
        for target in panel["targets"]:
            for metric in re.findall(r"weir_\w+", target["expr"]):
                assert re.search(rf"^{metric}\{{", text, re.M), metric
