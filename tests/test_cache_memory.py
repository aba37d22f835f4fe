"""--cache-size is never exceeded, by what is resident either, whatever sizes come and go."""

import json
import random

import pytest

from harness import BUILD, Client, resident_kib, serve

CACHE_MIB = 16
# What comes on top of the store: buffers of one client and of the link to the worker, and what the
# heap keeps of them.
FIXED_MIB = 4


def ask(client, size, key):
    target = f"/?size={size}&key={key}&h=Cache-Control:max-age=1000"
    response = client.request(target)
    assert response.status == 200 and len(response.body) == size
    return response.get("cache-status")


def stat(path):
    with Client(path) as client:
        return json.loads(client.request("/cache/stat").body)


@pytest.mark.skipif(BUILD.name in ("asan", "tsan"), reason="sanitizers keep what is freed")
def test_what_is_resident_stays_below_the_size(tmp_path):
    """Each phase is several times what the cache holds; the first leaves small pieces everywhere,
    of which those that are asked for again stay."""
    path = str(tmp_path / "admin.sock")
    dice = random.Random(7)
    with serve("compressible:app", f"--cache-size={CACHE_MIB}MiB", f"--admin-uds={path}") as server:
        front = server.children()["front"][0]
        before, most, used = resident_kib(front), 0, 0
        with server.client() as client:
            for phase, (least, largest, n) in enumerate(
                [(20, 3000, 15000), (50000, 300000, 400), (20, 3000, 4000), (20, 200000, 500)]
            ):
                for i in range(n):
                    ask(client, dice.randint(least, largest), f"{phase}.{i}")
                    if i % 50 == 0:
                        most = max(most, resident_kib(front) - before)
                        used = max(used, stat(path)["used"])
        assert stat(path)["evicted"] > 1000
    assert CACHE_MIB << 19 < used <= CACHE_MIB << 20
    assert CACHE_MIB << 9 < most <= (CACHE_MIB + FIXED_MIB) << 10
