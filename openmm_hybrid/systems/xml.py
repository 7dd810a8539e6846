"""Reading OpenMM's XML without running the code that it may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import openmm

from openmm_hybrid.core.errors import InputError
from openmm_hybrid.systems.plan import choose, known_backends

Kind = TypeVar("Kind")


def read_xml(text: str, path: Path, kind: type[Kind], *, hint: str) -> Kind:
    """The object of an OpenMM XML text.

    Parameters
    ----------
    text : str
    path : Path
        File of the text, for messages.
    kind : type
        openmm.System or openmm.State.
    hint : str
        What to do with a damaged file, for messages.

    Raises
    ------
    InputError
        The text is damaged, is another kind of object, or holds a PythonForce, whose XML is a pickle, which runs code
        when it is read.
    MissingDependencyError
        The text holds a TorchForce, and the plugin is missing or does not work here.
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
        # OpenMM gets the checked tree, not the text: its own parser may read the text differently.
        found: Kind = openmm.XmlSerializer.deserialize(ElementTree.tostring(root, encoding="unicode"))
    except (openmm.OpenMMException, ValueError) as error:
        raise InputError(f"{path} is damaged ({error})", hint=hint) from None
    return found
