"""Users with a .NET SDK and a folder of packages, for the tests that ship real projects."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.conformance.company_double import Authority
from tests.conformance.dotnet_sdk import Sdk, find_sdk
from tests.conformance.person import Person, command_prefix, identities, weakest


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


@pytest.fixture(scope="module")
def person(sdk: Sdk) -> Iterator[Person]:
    """Whoever has the least rights here; see `_person`."""
    with _person(weakest(), sdk) as made:
        yield made


@pytest.fixture(params=identities(), scope="module")
def each_person(request: pytest.FixtureRequest, sdk: Sdk) -> Iterator[Person]:
    """Whoever runs the tests and, from root, an ordinary user too; see `_person`."""
    with _person(str(request.param), sdk) as made:
        yield made


@contextmanager
def _person(identity: str, sdk: Sdk) -> Iterator[Person]:
    """Give a user whose one source of packages is the folder; of one home for a whole file of tests."""
    before = command_prefix(identity)
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
