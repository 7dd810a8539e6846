"""OpenMM's XML, read without running code that it may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import openmm

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.systems.plan import choose, known_backends

Kind = TypeVar("Kind")


def read_xml(text: str, path: Path, kind: type[Kind], *, hint: str) -> Kind:
    """The object that OpenMM's XML stands for.

    Parameters
    ----------
    text : str
    path : Path
        Where it comes from, and `mend` what to do if it is damaged; both for the messages.
    kind : type
        openmm.System or openmm.State.

    Raises
    ------
    InputError
        Damaged, another kind of object, or one with a PythonForce: its XML is a pickle, which runs code when read.
    MissingDependencyError
        It holds a TorchForce, and the plugin is missing or does not work here.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path} is damaged ({error})", hint=hint) from None
    if not root.tag == root.get("type") == kind.__name__:
        raise InputError(f"{path} holds another object ({root.tag})", expected=f"an OpenMM {kind.__name__}", hint=hint)
    types = {node.get("type") for node in root.iter()}
    for backend in known_backends():
        if not backend.force_type or backend.force_type not in types:
            continue
        if backend.holds_pickle:
            raise InputError(
                f"{path} holds a {backend.force_type}, a pickle that runs code when it is read",
                expected="a System without the model",
                hint="write it with save_system and its attachments, or attach the model again after reading",
            )
        choose(backend.name)
        backend.prepare()
    try:
        # OpenMM is given what was looked at, not the text, which its own parser may understand in another way.
        found: Kind = openmm.XmlSerializer.deserialize(ElementTree.tostring(root, encoding="unicode"))
    except (openmm.OpenMMException, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})", hint=hint) from None
    return found
