#!/usr/bin/env python3
"""A small living B2B shop in a SQLite file: makes it, and keeps changing it the way a business does.

    shop.py --db shop.db                       make the shop (when missing), then change it until stopped
    shop.py --db shop.db --create-only         only make it
    shop.py --db shop.db --rate 50 --seconds 60 --seed 7

--rate is transactions a second (0: as fast as it goes), --seconds 0 means without end. The first data depends on --seed alone.
Needs nothing but Python's standard library.
"""
import argparse
import datetime
import json
import os
import random
import signal
import sqlite3
import sys
import time

SCHEMA = """
CREATE TABLE regions (
    code TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    currency TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    domain TEXT NOT NULL UNIQUE COLLATE NOCASE,
    region TEXT NOT NULL REFERENCES regions(code),
    employees INTEGER,
    annual_revenue DECIMAL(15,2),
    health REAL,
    active BOOLEAN NOT NULL DEFAULT 1,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE contacts (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    email TEXT UNIQUE,
    role TEXT,
    opted_in BOOLEAN NOT NULL DEFAULT 0,
    badge BLOB,
    updated_at TEXT NOT NULL
);
CREATE TABLE opportunities (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    contact_id INTEGER REFERENCES contacts(id) ON DELETE SET NULL,
    title TEXT NOT NULL,
    stage TEXT NOT NULL CHECK (stage IN ('lead', 'qualified', 'proposal', 'negotiation', 'won', 'lost')),
    amount DECIMAL(12,2) NOT NULL,
    probability REAL NOT NULL,
    closes_on TEXT,
    updated_at TEXT NOT NULL
);
CREATE TABLE subscriptions (
    id INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts(id) ON DELETE CASCADE,
    plan TEXT NOT NULL,
    seats INTEGER NOT NULL,
    price DECIMAL(12,2) NOT NULL,
    status TEXT NOT NULL,
    renews_on TEXT NOT NULL,
    updated_at TEXT NOT NULL
);
CREATE TABLE subscription_events (
    subscription_id INTEGER NOT NULL REFERENCES subscriptions(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    seats_before INTEGER,
    seats_after INTEGER,
    price_after DECIMAL(12,2),
    at TEXT NOT NULL,
    PRIMARY KEY (subscription_id, number)
) WITHOUT ROWID;
CREATE TABLE web_events (
    id INTEGER PRIMARY KEY,
    contact_id INTEGER REFERENCES contacts(id) ON DELETE SET NULL,
    session TEXT NOT NULL,
    page TEXT NOT NULL,
    duration_ms INTEGER,
    properties TEXT,
    at TEXT NOT NULL
);
CREATE INDEX contacts_account ON contacts(account_id);
CREATE INDEX opportunities_account ON opportunities(account_id);
CREATE INDEX opportunities_contact ON opportunities(contact_id);
CREATE INDEX subscriptions_account ON subscriptions(account_id);
CREATE INDEX web_events_contact ON web_events(contact_id);
"""

REGIONS = [
    ("EU-N", "Nordics", "EUR"), ("EU-C", "Central Europe", "EUR"), ("EU-S", "Southern Europe", "EUR"), ("UK", "United Kingdom", "GBP"),
    ("US-E", "US East", "USD"), ("US-W", "US West", "USD"), ("JP", "日本", "JPY"), ("BR", "Brasil", "BRL"),
]
WORDS_A = ["North", "Blue", "Iron", "Clear", "Bright", "Silver", "Grün", "Étoile", "Ōsaka", "Delta", "Prime", "Vertex"]
WORDS_B = ["wind", "forge", "stone", "path", "field", "works", "metrics", "logic", "line", "port", "cloud", "gate"]
FIRST = ["Ada", "Björn", "Chloé", "Dmitri", "Elif", "Femi", "Grace", "Hiro", "Inés", "Jürgen", "Kai", "Léa", "Mikołaj", "Nora"]
LAST = ["Okafor", "Lindqvist", "García", "Yamada", "O'Neill", "Müller", "Rossi", "Silva", "Novák", "Dubois", "Ivanova", "Smith"]
ROLES = ["buyer", "champion", "admin", "executive", "developer", None]
PLANS = {"starter": 19.0, "team": 49.0, "business": 99.0, "enterprise": 179.5}
STAGES = {"lead": ("qualified", 0.25), "qualified": ("proposal", 0.45), "proposal": ("negotiation", 0.7), "negotiation": ("won", 1.0)}
PAGES = ["/", "/pricing", "/docs", "/docs/api", "/blog/sync", "/signup", "/contact", "/status"]
SIZES = {"accounts": 400, "web_events": 4000}


def stamp(moment):
    return moment.isoformat(sep=" ", timespec="milliseconds")


class Shop:
    """The transactions. Each method is one; `now` is the moment that it writes."""

    def __init__(self, db, rng):
        self.db = db
        self.rng = rng
        self.now = datetime.datetime(2024, 1, 1, 8, 0, 0)

    # -- helpers ---------------------------------------------------------------------------------------------------------------

    def one(self, sql, *args):
        row = self.db.execute(sql, args).fetchone()
        return row[0] if row is not None and len(row) == 1 else row

    def some(self, table, condition="1"):
        """A random row's id: the next one after a random point."""
        low, high = self.one(f"SELECT min(id), max(id) FROM {table}")
        if low is None:
            return None
        point = self.rng.randint(low, high)
        return self.one(f"SELECT id FROM {table} WHERE id >= ? AND {condition} ORDER BY id LIMIT 1", point)

    def money(self, low, high):
        return round(self.rng.uniform(low, high), 2)

    def day(self, days):
        return (self.now + datetime.timedelta(days=days)).date().isoformat()

    # -- growing ---------------------------------------------------------------------------------------------------------------

    def new_account(self):
        r = self.rng
        name = f"{r.choice(WORDS_A)}{r.choice(WORDS_B)}"
        number = (self.one("SELECT max(id) FROM accounts") or 0) + 1
        self.db.execute("INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?)",
                        (number, name, f"{name.lower()}-{number}.example", r.choice(REGIONS)[0], r.choice([None, r.randint(5, 20000)]),
                         r.choice([None, self.money(1e5, 5e9)]), r.random(), stamp(self.now), stamp(self.now)))
        for _ in range(r.randint(1, 4)):
            self.new_contact(number)
        return number

    def new_contact(self, account=None):
        r = self.rng
        account = account or self.some("accounts")
        number = (self.one("SELECT max(id) FROM contacts") or 0) + 1
        first, last = r.choice(FIRST), r.choice(LAST)
        email = None if r.random() < 0.05 else f"{first}.{last}.{number}@{account}.example".lower()
        badge = r.randbytes(r.randint(0, 24)) if r.random() < 0.3 else None
        self.db.execute("INSERT INTO contacts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        (number, account, f"{first} {last}", email, r.choice(ROLES), r.random() < 0.6, badge, stamp(self.now)))
        return number

    def new_opportunity(self):
        account = self.some("accounts", "active")
        if account is None:
            return
        contact = self.one("SELECT id FROM contacts WHERE account_id = ? ORDER BY id LIMIT 1", account)
        self.db.execute("INSERT INTO opportunities(account_id, contact_id, title, stage, amount, probability, closes_on, updated_at)"
                        " VALUES (?, ?, ?, 'lead', ?, 0.1, ?, ?)",
                        (account, contact, f"{self.rng.choice(list(PLANS))} for {self.rng.randint(5, 500)}", self.money(500, 250000),
                         self.day(self.rng.randint(10, 120)), stamp(self.now)))

    def event(self, subscription, kind, before, after, price):
        number = self.one("SELECT coalesce(max(number), 0) + 1 FROM subscription_events WHERE subscription_id = ?", subscription)
        self.db.execute("INSERT INTO subscription_events VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (subscription, number, kind, before, after, price, stamp(self.now)))

    def new_subscription(self, account=None):
        account = account or self.some("accounts", "active")
        if account is None:
            return
        plan = self.rng.choice(list(PLANS))
        seats = self.rng.randint(1, 200)
        price = round(PLANS[plan] * seats, 2)
        cursor = self.db.execute("INSERT INTO subscriptions(account_id, plan, seats, price, status, renews_on, updated_at)"
                                 " VALUES (?, ?, ?, ?, 'active', ?, ?)", (account, plan, seats, price, self.day(365), stamp(self.now)))
        self.event(cursor.lastrowid, "started", None, seats, price)

    # -- changing --------------------------------------------------------------------------------------------------------------

    def renew(self):
        row = self.one("SELECT id, seats, price FROM subscriptions WHERE status = 'active' ORDER BY renews_on, id LIMIT 1")
        if row is None:
            return
        subscription, seats, price = row
        if self.rng.random() < 0.1:
            self.db.execute("UPDATE subscriptions SET status = 'cancelled', updated_at = ? WHERE id = ?", (stamp(self.now), subscription))
            self.event(subscription, "cancelled", seats, 0, 0)
            return
        price = round(price * self.rng.choice([1.0, 1.03, 1.05]), 2)
        self.db.execute("UPDATE subscriptions SET price = ?, renews_on = date(renews_on, '+1 year'), updated_at = ? WHERE id = ?",
                        (price, stamp(self.now), subscription))
        self.event(subscription, "renewed", seats, seats, price)

    def upgrade(self):
        subscription = self.some("subscriptions", "status = 'active'")
        if subscription is None:
            return
        seats, plan = self.one("SELECT seats, plan FROM subscriptions WHERE id = ?", subscription)
        plans = list(PLANS)
        if self.rng.random() < 0.3:
            plan = plans[min(plans.index(plan) + 1, len(plans) - 1)]
        after = max(1, seats + self.rng.randint(-5, 30))
        price = round(PLANS[plan] * after, 2)
        self.db.execute("UPDATE subscriptions SET plan = ?, seats = ?, price = ?, updated_at = ? WHERE id = ?",
                        (plan, after, price, stamp(self.now), subscription))
        self.event(subscription, "upgraded" if after >= seats else "downgraded", seats, after, price)

    def advance_opportunity(self):
        """The next stage; a won one becomes a subscription in the same transaction."""
        number = self.some("opportunities", "stage NOT IN ('won', 'lost')")
        if number is None:
            return
        stage, account = self.one("SELECT stage, account_id FROM opportunities WHERE id = ?", number)
        stage, probability = STAGES[stage] if self.rng.random() > 0.2 else ("lost", 0.0)
        self.db.execute("UPDATE opportunities SET stage = ?, probability = ?, updated_at = ? WHERE id = ?",
                        (stage, probability, stamp(self.now), number))
        if stage == "won":
            self.new_subscription(account)

    def move_contact(self):
        """A contact changes employer."""
        contact, account = self.some("contacts"), self.some("accounts")
        if contact is not None and account is not None:
            self.db.execute("UPDATE contacts SET account_id = ?, role = ?, updated_at = ? WHERE id = ?",
                            (account, self.rng.choice(ROLES), stamp(self.now), contact))

    def score_accounts(self):
        """A nightly job in small: many rows in one statement."""
        self.db.execute("UPDATE accounts SET health = round(min(1.0, max(0.0, coalesce(health, 0.5) + ?)), 4), updated_at = ?"
                        " WHERE id % 20 = ?", (self.rng.uniform(-0.1, 0.1), stamp(self.now), self.rng.randrange(20)))

    def merge_duplicate(self):
        """An import that takes over an existing domain: OR REPLACE removes the account that has it, and its rows with it."""
        account = self.some("accounts")
        if account is None:
            return
        domain, region = self.one("SELECT domain, region FROM accounts WHERE id = ?", account)
        number = self.one("SELECT max(id) FROM accounts") + 1
        self.db.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, NULL, NULL, 0.5, 1, ?, ?)",
                        (number, "Merged " + domain.split("-")[0].title(), domain.upper(), region, stamp(self.now), stamp(self.now)))
        self.new_contact(number)

    def erase_contact(self):
        """A person asks to be forgotten: the row goes, what points to it stays without it."""
        contact = self.some("contacts")
        if contact is not None:
            self.db.execute("DELETE FROM contacts WHERE id = ?", (contact,))

    def close_account(self):
        account = self.some("accounts", "NOT active")
        if account is not None:
            self.db.execute("DELETE FROM accounts WHERE id = ?", (account,))  # cascades through five tables
        else:
            self.db.execute("UPDATE accounts SET active = 0, updated_at = ? WHERE id = ?", (stamp(self.now), self.some("accounts")))

    def visit(self, pages=None):
        contact = self.some("contacts") if self.rng.random() < 0.7 else None
        session = f"{self.rng.getrandbits(48):012x}"
        for _ in range(pages or self.rng.randint(1, 6)):
            page = self.rng.choice(PAGES)
            properties = json.dumps({"referrer": self.rng.choice(["search", "mail", "ad", None]), "screen": self.rng.choice([1280, 1920, 390])})
            self.db.execute("INSERT INTO web_events(contact_id, session, page, duration_ms, properties, at) VALUES (?, ?, ?, ?, ?, ?)",
                            (contact, session, page, self.rng.choice([None, self.rng.randint(50, 90000)]), properties, stamp(self.now)))

    def expire_events(self):
        """Retention: the oldest go when there are too many."""
        self.db.execute("DELETE FROM web_events WHERE id <= (SELECT max(id) FROM web_events) - ?", (SIZES["web_events"] * 5,))

    def step(self):
        """One transaction of the business, chosen by how often it happens."""
        actions = [(self.visit, 40), (self.advance_opportunity, 14), (self.upgrade, 10), (self.renew, 8), (self.new_opportunity, 8),
                   (self.move_contact, 5), (self.new_contact, 5), (self.new_account, 3), (self.new_subscription, 3),
                   (self.score_accounts, 1.5), (self.erase_contact, 1), (self.close_account, 0.5), (self.merge_duplicate, 0.5),
                   (self.expire_events, 0.5)]
        self.rng.choices([a for a, _ in actions], [w for _, w in actions])[0]()


def connect(path):
    db = sqlite3.connect(path, timeout=30, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA foreign_keys = ON")
    return db


def create(db, rng):
    shop = Shop(db, rng)
    db.execute("BEGIN")
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
    db.executemany("INSERT INTO regions VALUES (?, ?, ?)", REGIONS)
    for _ in range(SIZES["accounts"]):
        shop.now += datetime.timedelta(hours=rng.randint(1, 12))
        account = shop.new_account()
        if rng.random() < 0.6:
            shop.new_subscription(account)
        if rng.random() < 0.8:
            shop.new_opportunity()
    while shop.one("SELECT count(*) FROM web_events") < SIZES["web_events"]:
        shop.now += datetime.timedelta(seconds=rng.randint(1, 600))
        shop.visit(rng.randint(1, 30))
    db.execute("COMMIT")


def keep_changing(db, rng, rate, seconds):
    """Runs transactions, at times several steps in one, at times rolled back."""
    shop = Shop(db, rng)
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    began = time.monotonic()
    done = 0
    while not stop and (seconds == 0 or time.monotonic() - began < seconds):
        shop.now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        db.execute("BEGIN IMMEDIATE")
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            shop.step()
        db.execute("ROLLBACK" if rng.random() < 0.03 else "COMMIT")
        done += 1
        if rate > 0:
            ahead = began + done / rate - time.monotonic()
            if ahead > 0:
                time.sleep(min(ahead, 0.5))
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--db", required=True, help="the SQLite file; made when missing")
    parser.add_argument("--rate", type=float, default=20, help="transactions a second (default 20; 0: as fast as it goes)")
    parser.add_argument("--seconds", type=float, default=0, help="stop after so long (default 0: never)")
    parser.add_argument("--seed", type=int, default=1, help="makes the first data, and the choices after it, repeatable")
    parser.add_argument("--create-only", action="store_true", help="make the shop and end")
    options = parser.parse_args()

    missing = not os.path.exists(options.db)
    db = connect(options.db)
    if missing:
        create(db, random.Random(options.seed))
    if not options.create_only:
        done = keep_changing(db, random.Random(options.seed + 1), options.rate, options.seconds)
        print(f"shop: {done} transactions", file=sys.stderr)
    db.close()


if __name__ == "__main__":
    main()
