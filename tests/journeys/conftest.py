"""The running product, and a helpdesk of strangers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.journeys.product import Product


@pytest.fixture
def launch(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Product]]:
    """Start the product with settings; it is stopped, and nothing of it left, at the end."""
    made: list[Product] = []

    def start(**settings: str) -> Product:
        made.append(Product(tmp_path / "data", free_port, **settings))
        return made[-1].start()

    yield start
    for product in made:
        product.stop()
