"""What the alert's blueprint would have Home Assistant do: its templates rendered by Jinja, which Home Assistant uses, with stand-ins
for the few functions of Home Assistant that they call.

Reads {"trigger": id, "event": attributes of the event entity, "from": those that it had before, or null} and writes what the chosen action is given, or null.
"""

import ast
import json
import re
import sys
from datetime import datetime, timezone

import jinja2
import yaml

EVENT = "event.bedroom"


class Input(str):
    """`!input name`."""


class State:
    name = "bedroom event"

    def __init__(self, attributes):
        self.attributes = attributes


class States:
    def __init__(self, attributes):
        self.state = State(attributes)

    def __getitem__(self, entity):
        return self.state if entity == EVENT else None

    def __call__(self, entity):
        return datetime.now(timezone.utc).isoformat()


def as_datetime(value, default=None):
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, timezone.utc)
    return datetime.fromisoformat(value)


def render(value, names):
    """As Home Assistant does: what reads as a list, a number or a truth becomes one."""
    if isinstance(value, dict):
        return {key: render(inner, names) for key, inner in value.items()}
    if not isinstance(value, str) or "{" not in value:
        return value
    text = ENVIRONMENT.from_string(value).render(names).strip()
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


ENVIRONMENT = jinja2.Environment()
ENVIRONMENT.filters["regex_replace"] = lambda text, find, put: re.sub(find, put, text)
yaml.SafeLoader.add_constructor("!input", lambda loader, node: Input(loader.construct_scalar(node)))

asked = json.load(sys.stdin)
with open(sys.argv[1]) as file:
    blueprint = yaml.safe_load(file)
names = {
    "states": States(asked["event"]),
    "now": lambda: datetime.now(timezone.utc),
    "as_datetime": as_datetime,
    "as_local": lambda moment: moment,
    "trigger": {"id": asked["trigger"], "from_state": None if asked["from"] is None else State(asked["from"])},
}
inputs = {"event": EVENT, "picture": "image.bedroom"}
for name, value in blueprint["variables"].items():
    names[name] = inputs[value] if isinstance(value, Input) else render(value, names)
for option in blueprint["actions"][0]["choose"]:
    if render(option["conditions"], names) is True:
        json.dump(render(option["sequence"][0]["data"], names), sys.stdout)
        break
else:
    json.dump(None, sys.stdout)
