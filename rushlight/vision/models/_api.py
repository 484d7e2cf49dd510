"""Pre-trained weights as enums, and the registry of models by name.

A model's builder is declared with `@model_builder(WEIGHTS)`, which registers it and lets it also
take what torchvision took before 0.13 (`pretrained=True`, positional arguments), with its warnings.
"""

from __future__ import annotations

import fnmatch
import functools
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from types import ModuleType
from typing import Any, TypeVar

from rushlight.hub import load_state_dict_from_url

__all__ = [
    "Weights",
    "WeightsEnum",
    "get_model",
    "get_model_builder",
    "get_model_weights",
    "get_weight",
    "list_models",
    "model_builder",
]

Builder = TypeVar("Builder", bound=Callable[..., Any])
_builders: dict[str, Callable[..., Any]] = {}


@dataclass(eq=False)
class Weights:
    """One set of pre-trained weights.

    Attributes:
        url: where the state dict lies.
        transforms: called without arguments it makes the preprocessing of the model's input.
        meta: facts such as `categories`, `num_params`, `min_size`.
    """

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any]

    def __eq__(self, other: object) -> bool:
        # An unpickled copy must equal the enum's own; two equal `partial`s do not compare equal.
        if not isinstance(other, Weights):
            return NotImplemented
        mine, its = (
            (t.func, t.args, t.keywords) if isinstance(t, functools.partial) else t
            for t in (self.transforms, other.transforms)
        )
        return self.url == other.url and self.meta == other.meta and bool(mine == its)

    def __hash__(self) -> int:
        return hash(self.url)


class WeightsEnum(Enum):
    """The sets of weights of one model; each member's value is a `Weights`.

    Example:
        >>> from rushlight.vision.models import ResNet18_Weights
        >>> ResNet18_Weights.DEFAULT
        ResNet18_Weights.IMAGENET1K_V1
        >>> ResNet18_Weights.DEFAULT.url
        'https://download.pytorch.org/models/resnet18-f37072fd.pth'
    """

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member that `obj` is or names (None stays None).

        Raises:
            KeyError: no member of that name. TypeError: not a member of this enum.
        """
        if isinstance(obj, str):
            return cls[obj.removeprefix(cls.__name__ + ".")]
        if obj is not None and not isinstance(obj, cls):
            raise TypeError(
                f"Invalid Weight class provided; expected {cls.__name__} "
                f"but received {obj.__class__.__name__}."
            )
        return obj

    def get_state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The weights' state dict, downloaded once; arguments as in `load_state_dict_from_url`."""
        return load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self._name_}"

    @property
    def url(self) -> str:
        """Where the state dict lies."""
        return str(self.value.url)

    @property
    def transforms(self) -> Callable[..., Any]:
        """Called without arguments it makes the preprocessing of the model's input."""
        made: Callable[..., Any] = self.value.transforms
        return made

    @property
    def meta(self) -> dict[str, Any]:
        """Facts such as `categories`, `num_params`, `min_size`."""
        facts: dict[str, Any] = self.value.meta
        return facts


def get_weight(name: str) -> Any:
    """The weights that a full name such as "ResNet50_Weights.IMAGENET1K_V1" means."""
    from rushlight.vision import models

    enum_name, dot, member = name.partition(".")
    if not dot or "." in member:
        raise ValueError(f"Invalid weight name provided: '{name}'.")
    enum = vars(models).get(enum_name)
    if not (isinstance(enum, type) and issubclass(enum, WeightsEnum)):
        raise ValueError(
            f"The weight enum '{enum_name}' for the specific method couldn't be retrieved."
        )
    return enum[member]


def get_model_weights(name: Callable[..., Any] | str) -> type[WeightsEnum]:
    """The weights enum of a model, by its name or its builder."""
    builder = get_model_builder(name) if isinstance(name, str) else name
    enum = getattr(builder, "weights_enum", None)
    if enum is None:
        raise ValueError("The method is missing the 'weights' argument.")
    found: type[WeightsEnum] = enum
    return found


def list_models(
    module: ModuleType | None = None,
    include: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
) -> list[str]:
    """The names of the registered models, sorted.

    Args:
        module: only models of this package, such as `rushlight.vision.models`.
        include: shell-style patterns; a name must match one of them.
        exclude: shell-style patterns; a name must match none of them.

    Example:
        >>> list_models(include="vgg1*", exclude="*_bn")
        ['vgg11', 'vgg13', 'vgg16', 'vgg19']
    """

    def matches(name: str, patterns: Iterable[str] | str) -> bool:
        patterns = [patterns] if isinstance(patterns, str) else patterns
        return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)

    return sorted(
        name
        for name, builder in _builders.items()
        if (module is None or builder.__module__.rpartition(".")[0] == module.__name__)
        and (not include or matches(name, include))
        and (not exclude or not matches(name, exclude))
    )


def get_model_builder(name: str) -> Callable[..., Any]:
    """The function that builds the model of this name (in any case).

    Raises:
        ValueError: there is no such model.
    """
    try:
        return _builders[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name.lower()}") from None


def get_model(name: str, **config: Any) -> Any:
    """The model of this name, built with `config`.

    Example:
        >>> type(get_model("squeezenet1_1", num_classes=10)).__name__
        'SqueezeNet'
    """
    return get_model_builder(name)(**config)


def model_builder(
    weights_enum: type[WeightsEnum], legacy: WeightsEnum | None = None
) -> Callable[[Builder], Builder]:
    """Registers a builder `f(*, weights=None, progress=True, **kwargs)` under its own name.

    Inside the builder `weights` is a member of `weights_enum` or None, and a given `num_classes`
    has been compared with the weights' own.

    Args:
        weights_enum: the model's weights.
        legacy: what `pretrained=True` stands for; by default `IMAGENET1K_V1` if there is one.
    """
    old = legacy or weights_enum.__members__.get("IMAGENET1K_V1")

    def register(builder: Builder) -> Builder:
        @functools.wraps(builder)
        def build(*args: Any, **kwargs: Any) -> Any:
            kwargs |= _positional(builder.__name__, args)
            _translate_pretrained(builder.__name__, old, kwargs)
            kwargs["weights"] = weights_enum.verify(kwargs.get("weights"))
            categories = kwargs["weights"] and kwargs["weights"].meta["categories"]
            if categories is not None:  # weights without a classifier have none
                require(kwargs, "num_classes", len(categories))
            return builder(**kwargs)

        build.weights_enum = weights_enum  # type: ignore[attr-defined]
        _builders[builder.__name__] = build
        return build  # type: ignore[return-value]

    return register


def require(settings: dict[str, Any], name: str, value: Any) -> None:
    """Sets `settings[name]` to the value that the weights need, or says that it contradicts.

    Raises:
        ValueError: another value is given.
    """
    given = settings.setdefault(name, value)
    if given != value:
        raise ValueError(f"The parameter '{name}' expected value {value} but got {given} instead.")


def _positional(name: str, args: tuple[Any, ...]) -> dict[str, Any]:
    """`weights` and `progress` given without their names, with torchvision's warning."""
    names = ("weights", "progress")[: len(args)]
    if len(args) > 2:
        raise TypeError(f"{name}() takes at most 2 positional arguments but {len(args)} were given")
    if args:
        quoted = " and ".join(f"'{one}'" for one in names)
        warnings.warn(
            f"Using {quoted} as positional parameter(s) is deprecated since 0.13 and may be "
            "removed in the future. Please use keyword parameter(s) instead."
        )
    return dict(zip(names, args, strict=True))


def _translate_pretrained(name: str, old: WeightsEnum | None, kwargs: dict[str, Any]) -> None:
    """Turns `pretrained=` (or a flag in the place of `weights`) into `weights=`, with a warning."""
    given = kwargs.get("weights", False)
    named = "weights" not in kwargs
    modern = given is None or isinstance(given, WeightsEnum)
    modern = modern or (isinstance(given, str) and given != "legacy")
    if modern or (named and "pretrained" not in kwargs):
        return
    wanted = kwargs.pop("pretrained") if named else kwargs.pop("weights")
    kwargs.pop("pretrained", None)
    if wanted and old is None:
        raise ValueError(f"No weights available for model {name}")
    if named:
        warnings.warn(
            "The parameter 'pretrained' is deprecated since 0.13 and may be removed in the future, "
            "please use 'weights' instead."
        )
    weights = old if wanted else None
    message = (
        "Arguments other than a weight enum or `None` for 'weights' are deprecated since 0.13 and "
        "may be removed in the future. "
        f"The current behavior is equivalent to passing `weights={weights}`."
    )
    if weights is not None:
        message += (
            f" You can also use `weights={type(weights).__name__}.DEFAULT` "
            "to get the most up-to-date weights."
        )
    warnings.warn(message)
    kwargs["weights"] = weights
