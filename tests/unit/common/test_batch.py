import gc
import weakref

from assay.batch import each
from assay.errors import AssayError, InvalidArgumentError, NotFoundError


def even(number: int) -> str:
    if number % 2:
        raise InvalidArgumentError(f"{number} is odd")
    return str(number)


def test_each_item_has_its_result_or_its_refusal_in_order() -> None:
    first, refused, last = each(even, [2, 3, 4])
    assert (first, last) == ("2", "4")
    assert isinstance(refused, InvalidArgumentError)
    assert refused.message == "3 is odd"


def test_what_was_refused_before_stays_so() -> None:
    earlier = NotFoundError("gone")
    items: list[int | AssayError] = [earlier, 2]
    assert each(even, items) == [earlier, "2"]


def test_refusals_hold_nothing_alive() -> None:
    class Request:
        pass

    def refuse(request: Request) -> None:
        raise InvalidArgumentError(f"no {type(request).__name__}")

    request = Request()
    gone = weakref.ref(request)
    gc.disable()
    try:
        results = each(refuse, [request])
        del request
        assert gone() is None, "the refusal's traceback holds what was worked on"
        assert len(results) == 1
    finally:
        gc.enable()
