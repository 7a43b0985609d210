"""The shortest list of commands that still fails (delta debugging), within a number of runs."""


def shrink(commands, fails, runs=80):
    """`fails(list)` is the text of the difference, or None. The first command declares the datasets and stays."""
    last, size, left = None, max(1, len(commands) // 2), runs
    while size >= 1 and left > 0:
        at = 1
        while at < len(commands) and left > 0:
            shorter = commands[:at] + commands[at + size:]
            left -= 1
            text = fails(shorter)
            if text is None:
                at += size
            else:
                commands, last = shorter, text
        size //= 2
    return thinner(commands, fails, left, last)


def thinner(commands, fails, left, last):
    """The same with the rows of each command."""
    for i in range(len(commands)):
        at = 0
        while commands[i]["do"] == "take" and len(commands[i]["rows"]) > 1 and at < len(commands[i]["rows"]) and left > 0:
            rows = commands[i]["rows"]
            shorter = [*commands[:i], {**commands[i], "rows": rows[:at] + rows[at + 1:]}, *commands[i + 1:]]
            left -= 1
            text = fails(shorter)
            if text is None:
                at += 1
            else:
                commands, last = shorter, text
    return commands, last
