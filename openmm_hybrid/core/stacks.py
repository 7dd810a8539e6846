"""Builds of the package openmmtorch, the versions that each of them works with, and the pip lines that install them.

Several distributions install the same module, `openmmtorch`. Each is compiled for one version of OpenMM and one of
PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from openmm_hybrid.core.trial import installed


@final
@dataclass(frozen=True)
class PluginBuild:
    """A distribution of openmmtorch, with the versions that work together.

    Parameters
    ----------
    distribution, version : str
        Name and version of the distribution.
    openmm, torch : str
        Versions of OpenMM and PyTorch, such as "8.5.2" or "8.4.*".
    openmm_extra : str
        Extra of the distribution openmm that this build needs, such as "cuda13"; empty for none.
    """

    distribution: str
    version: str
    openmm: str
    torch: str
    openmm_extra: str = ""

    @property
    def requirements(self) -> tuple[str, ...]:
        """Requirements for pip: OpenMM, PyTorch and the plugin."""
        openmm = f"openmm[{self.openmm_extra}]" if self.openmm_extra else "openmm"
        return f"{openmm}=={self.openmm}", f"torch=={self.torch}", f"{self.distribution}=={self.version}"

    @property
    def install_line(self) -> str:
        """Command that installs this build with its versions of OpenMM and PyTorch."""
        return " ".join(["pip install", *(f"'{requirement}'" for requirement in self.requirements)])

    @property
    def needs(self) -> str:
        """The versions that this build needs, with the command that installs them."""
        versions = f"openmm {self.openmm} and torch {self.torch}"
        return f"{self.distribution} {self.version} needs {versions}: {self.install_line}"


PLUGIN_BUILDS = (
    PluginBuild("openmmtorch", "1.5", openmm="8.4.*", torch="2.9.*"),
    PluginBuild("acellera-openmmtorch-cpu", "1.10", openmm="8.5.2", torch="2.12.1"),
    PluginBuild("acellera-openmmtorch-cu13", "1.10", openmm="8.5.2", torch="2.12.1", openmm_extra="cuda13"),
)
"""Every known build. An environment may hold one of them; the first is the default."""


def installed_builds() -> list[PluginBuild]:
    """The builds of openmmtorch in this environment, whatever their versions. More than one is an error."""
    return [build for build in PLUGIN_BUILDS if installed(build.distribution)]


def describe(builds: Sequence[PluginBuild]) -> str:
    """Names and installed versions of some builds, for messages."""
    return " and ".join(f"{build.distribution} {installed(build.distribution)}" for build in builds)


def plugin_hint(found: Sequence[PluginBuild]) -> str:
    """The pip line that gives this environment a build of openmmtorch that works.

    Parameters
    ----------
    found : sequence of PluginBuild
        The builds in this environment, as `installed_builds` returns them.
    """
    if len(found) == 1:
        (build,) = found
        if _matched(build):
            again = reinstall_line("openmm", "torch", build.distribution)
            return f"these versions fit together, so install them again: {again}"
        return build.needs
    candidates = found or PLUGIN_BUILDS
    build = next((build for build in candidates if _fits(installed("openmm"), build.openmm)), candidates[0])
    if not found:
        return build.needs
    names = " ".join(other.distribution for other in found)
    return f"remove them and install one: pip uninstall -y {names} && {build.install_line}"


def reinstall_line(*distributions: str) -> str:
    """Command that installs some distributions again, in the versions that this environment has."""
    pinned = [f"'{name}=={_public(installed(name))}'" if installed(name) else name for name in distributions]
    return " ".join(["pip install --force-reinstall --no-deps", *pinned])


def _matched(build: PluginBuild) -> bool:
    """Whether OpenMM, PyTorch and the plugin itself are installed in the versions that work together."""
    wanted = {"openmm": build.openmm, "torch": build.torch, build.distribution: build.version}
    return all(_fits(installed(name), version) for name, version in wanted.items())


def _fits(version: str, wanted: str) -> bool:
    """Whether a version is the wanted one, such as "8.5.2" or "8.4.*"."""
    public = _public(version)
    return f"{public}.".startswith(wanted.removesuffix("*")) if wanted.endswith(".*") else public == wanted


def _public(version: str) -> str:
    """A version without its local part, as "2.12.1" for "2.12.1+cpu"."""
    return version.partition("+")[0]
