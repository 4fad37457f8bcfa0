"""What can be exported; the options are those of ``obd export``."""

from typing import Literal, get_args

SynsetForm = Literal["npz", "parquet", "json", "minari"]  # into a folder, with a card
PolicyForm = Literal["onnx", "sb3"]  # into a file
Form = SynsetForm | PolicyForm
SYNSET_FORMS: tuple[str, ...] = get_args(SynsetForm)
POLICY_FORMS: tuple[str, ...] = get_args(PolicyForm)
SUFFIXES = {"onnx": ".onnx", "sb3": ".zip"}  # of the files
