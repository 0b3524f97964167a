import asyncio
from pathlib import Path

from cloche.model.tier import Tier
from cloche.platforms.linux.spawn import LinuxPlatform
from cloche.sandbox.features import Feature, Features, Support


def probe(home: Path) -> Features:
    async def once() -> Features:
        platform = LinuxPlatform(ahead=0)
        try:
            return await platform.probe(home, Tier.NAMESPACES)
        finally:
            await platform.close()

    return asyncio.run(once())


def test_a_probe_leaves_nothing_behind(tmp_path: Path) -> None:
    features = probe(tmp_path)
    assert features.support(Feature.OVERLAY) is Support.FULL
    assert not list(tmp_path.iterdir())


def test_a_home_that_cannot_be_written_costs_the_overlay_alone(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    features = probe(blocked / "state")
    assert features.support(Feature.OVERLAY) is Support.NONE
    assert str(blocked) in features.finding(Feature.OVERLAY).why
    assert features.support(Feature.USER_NS) is Support.FULL
