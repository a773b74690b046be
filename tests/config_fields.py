"""The fields of configs, and other values for them."""


def leaves(model, before=""):
    """Yield the dotted names of a config class's fields."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if hasattr(inner, "model_fields"):
            yield from leaves(inner, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def value_at(config, path):
    """Return the value of a dotted field."""
    for name in path.split("."):
        config = getattr(config, name)
    return config


def another(config, path, other):
    """Return a config with another value of a field: one of ``other``, or one by a rule."""
    value = value_at(config, path)
    if path in other:
        changed = other[path]
    elif isinstance(value, bool):
        changed = not value
    elif isinstance(value, int):
        changed = value + 1
    elif isinstance(value, float):
        changed = value / 2 if value else 0.5
    else:
        *groups, name = path.split(".")
        model = type(value_at(config, ".".join(groups)) if groups else config)
        choices = model.model_json_schema()["properties"][name]["enum"]
        changed = next(choice for choice in choices if choice != value)
    document = config.model_dump()
    place = document
    *groups, name = path.split(".")
    for group in groups:
        place = place[group]
    place[name] = changed
    return type(config).model_validate(document)
