"""The types of columns: random texts, and what a text means in a column."""
import datetime
import decimal

UTC = datetime.timezone.utc
NOW = datetime.datetime(2020, 6, 1, 0, 30, tzinfo=UTC)      # where the program's clock starts; versions lie on whole hours


class Bad(Exception):
    """A text that is no value of the column: the reason it goes to quarantine with."""


def hour(n):
    """The text of a whole hour, counted from the start of the day of NOW."""
    return (NOW.replace(minute=0) + datetime.timedelta(hours=n)).strftime("%Y-%m-%dT%H:%M:%SZ")


DRAW = {
    "int32": lambda r: str(r.randrange(-3, 100)),
    "int64": lambda r: str(r.choice([r.randrange(-3, 100), r.randrange(-2**60, 2**60)])),
    "string": lambda r: r.choice(["a", "B", "é", "x y", "quote \" comma ,", "line\nbreak", "日本", "7"]),
    "decimal(6,2)": lambda r: f"{r.randrange(-50, 50)}.{r.choice(['00', '50', '25', '01'])}",
    "decimal(12,2)": lambda r: f"{r.choice([r.randrange(-50, 50), 123456789])}.{r.choice(['00', '50', '25', '01'])}",
    "timestamptz": lambda r: hour(r.randrange(-400, 400)),
    "date": lambda r: f"{r.choice([1969, 2020])}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}",
    "boolean": lambda r: r.choice(["true", "false"]),
}
BAD = {                              # a text that the column cannot hold
    "int32": ["zz", "1.5", "99999999999"],
    "int64": ["zz", "1.5", "99999999999999999999"],
    "decimal(6,2)": ["zz", "1.234", "123456"],
    "decimal(12,2)": ["zz", "1.234"],
    "timestamptz": ["yesterday"],
    "date": ["soon"],
    "boolean": ["maybe"],
}
WIDER = {"int32": "int64", "decimal(6,2)": "decimal(12,2)"}
RANGE = {"int32": 2**31, "int64": 2**63}


def whole(kind, text):
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise Bad("wrong_type") from None
    if number != number.to_integral_value() or not -RANGE[kind] <= number < RANGE[kind]:
        raise Bad("value_out_of_range")
    return int(number)


def exact(digits, scale, text):
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise Bad("wrong_type") from None
    if number != round(number, scale) or abs(number) >= 10 ** (digits - scale):
        raise Bad("value_out_of_range")
    return round(number, scale)


def value(kind, text):
    """What a text means; Bad with the reason when it means nothing."""
    if kind == "string":
        return text
    if kind in RANGE:
        return whole(kind, text)
    if kind.startswith("decimal"):
        return exact(*map(int, kind[8:-1].split(",")), text)
    try:
        if kind == "date":
            return datetime.date.fromisoformat(text)
        if kind == "timestamptz":
            moment = datetime.datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return {"true": True, "false": False}[text]
    except (ValueError, KeyError):
        raise Bad("wrong_type") from None
