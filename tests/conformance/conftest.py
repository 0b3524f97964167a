"""Users with a .NET SDK and a folder of packages, for the tests that ship real projects."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk, find_sdk
from tests.conformance.person import Person, command_prefix, identities


@pytest.fixture(scope="session")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Sdk:
    """The SDK of this machine and the folder."""
    return find_sdk(tmp_path_factory.mktemp("tools") / "digests.json")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that certificates of registries of ours are from."""
    if not Authority.is_possible():
        pytest.skip("needs the command openssl, to make an authority with")
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=identities(), scope="module")
def person(request: pytest.FixtureRequest, sdk: Sdk) -> Iterator[Person]:
    """A user whose one source of packages is the folder; of one home for a whole file of tests."""
    before = command_prefix(str(request.param))
    # Not pytest's own temporary directory, which is private.
    with tempfile.TemporaryDirectory(prefix="cloche-person-", ignore_cleanup_errors=True) as name:
        place = Path(name)
        home = place / "home"
        home.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            **sdk.environment(home),
            "XDG_STATE_HOME": str(home / "state"),
        }
        made = Person(place=place, before=before, environment=environment)
        made.own(place)
        yield made
