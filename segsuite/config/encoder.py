"""The name of an encoder, as the settings of every network take it."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from segsuite.encoders import check_encoder_name
from segsuite.errors import ConfigError


def _encoder(name: str) -> str:
    try:
        check_encoder_name(name)
    except ConfigError as error:
        raise PydanticCustomError("unknown_name", "{what}", {"what": error.what}) from error
    return name


EncoderName = Annotated[str, AfterValidator(_encoder)]
