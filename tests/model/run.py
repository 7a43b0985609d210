"""One sequence of commands, given to model and program."""
import random
import shutil

from . import draw, evolve, kinds, related, rules, shrink, waits
from .compare import compare
from .state import Model
from .world import Difference, World


def step(model, c):
    """Does the command to the model. Returns what the program is to count or be told; False: the command does not fit, and is passed over."""
    if c["do"] == "declare":
        model.datasets = {t["name"]: evolve.declare(t) for t in c["datasets"]}
        for t in c["datasets"]:
            for ref in t.get("refs", []):
                evolve.refer(model.datasets[t["name"]], ref)
        return None
    d = model.datasets.get(c.get("dataset"))
    if c["do"] == "take":
        named = {n for row in c["rows"] for n in row}
        return rules.take(model, d, c["rows"]) if all(d.by_id(i).name in named for i in [*d.key, d.version]) else False
    if c["do"] in ("delete", "unsuppress"):
        keys = [tuple(kinds.value(d.by_id(i).type, v) for i, v in zip(d.key, k)) for k in c["keys"]]
        return getattr(rules, c["do"])(d, keys)
    if c["do"] == "delete related":
        found = related.family(model, d, [tuple(kinds.value(d.by_id(i).type, v) for i, v in zip(d.key, k)) for k in c["keys"]])
        if found is None:
            return False
        for name, keys in found.items():
            rules.delete(model.datasets[name], keys)
        return None
    if c["do"] == "replay":
        return rules.replay(model, d)
    if c["do"] == "discard":
        return rules.discard(d)
    if c["do"] == "reshape":
        if not evolve.fits(model, d, c):
            return False
        lines = evolve.evolve(d, c)
        waits.release(model)
        return lines
    if c["do"] == "later":
        model.hours += c["hours"]
    return None


def expired(model):
    """A mirror removes what is past its time when it starts, and nobody knows how often it starts; so here it is asked to at once.
    True when there was something."""
    return any([rules.expire(d, model.now()) for d in model.datasets.values()])


def commands_of(seed, steps):
    """The commands of a seed; those that change schemas are drawn for the state that the earlier ones lead to."""
    r = random.Random(seed)
    model = Model()
    commands = [draw.declare(r)]
    step(model, commands[0])
    while len(commands) <= steps:
        c = draw.draw(model, r)
        if step(model, c) is not False:
            commands.append(c)
            expired(model)
    return commands


def play(folder, commands, every=12):
    """Raises Difference where model and program part."""
    model = Model()
    world = World(folder, [t["name"] for t in commands[0]["datasets"]])
    at = 0
    try:
        for at, c in enumerate(commands):
            expected = step(model, c)
            if expected is not False:
                world.do(c, model, expected)
            if expired(model):
                world.do_expire()
            if at % every == every - 1 or at + 1 == len(commands):
                world.quiet()
                compare(world, model)
    except Difference as e:
        raise Difference(f"at command {at + 1} of {len(commands)}, {commands[at]}:\n{e}") from None
    finally:
        world.mirror.kill()
        shutil.rmtree(folder, ignore_errors=True)


def check(folder, seed, steps, runs=60):
    """Plays a seed; a difference shortens itself and is raised with the commands that it needs."""
    commands = commands_of(seed, steps)
    try:
        play(folder, commands)
        return
    except Difference as e:
        first = str(e)

    if not runs:
        raise Difference(first)

    def fails(some):
        try:
            play(folder, some, every=1 if len(some) < 8 else 12)
            return None
        except Difference as e:
            return str(e)
    short, text = shrink.shrink(commands, fails, runs)
    raise Difference(f"seed {seed}: {len(short)} of {len(commands)} commands differ:\n" + "\n".join(map(repr, short)) + f"\n{text or first}")
