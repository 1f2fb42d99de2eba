"""Errors that ssiqa raises on purpose, so that a caller can tell them from a bug."""


class SsiqaError(Exception):
    """Base of all errors of this package; its message is one sentence that says what to do."""


class DataError(SsiqaError):
    """A folder, an image or a label file cannot be used as it is."""


class WeightsError(SsiqaError):
    """Weights cannot be fetched, read or fitted to the named backbone."""


class ExportError(SsiqaError):
    """The exported scorer does not reproduce the trained model, so no file was written."""


class RunError(SsiqaError):
    """The output folder of a run cannot be used or continued."""


class IllConditionedError(SsiqaError, ArithmeticError):
    """The kernel matrix plus alpha I is not numerically positive definite; the message says which alpha would do.

    Attributes:
        pivot: Row, counted from 0, at which the Cholesky factorisation stopped.
        condition: About how large the condition number is, at least: the 1-norm of the matrix divided by the pivot at
            which it stopped, or by 2.2e-16 where less than that was left of it.
    """

    def __init__(self, message: str, pivot: int, condition: float) -> None:
        super().__init__(message, pivot, condition)
        self.pivot = pivot
        self.condition = condition

    def __str__(self) -> str:
        return str(self.args[0])


def first_line(error: BaseException) -> str:
    """What an error of somebody else's says, as a part of a sentence of ours."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
