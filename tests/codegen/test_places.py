"""Files of other programs are recognised, and the user is told what can be done with them."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from codegen.errors import UserError
from codegen.ir import save as save_network
from codegen.networks import find_network
from codegen.places import check_ours
from tests.networks import tiny

REST = "; write its weights as an integer network (docs/ir.md), or train one: python -m model train RECIPE"
PICKLE = "a file of PyTorch, and reading such may run what is in it, so it is never read here"
TENSORS = {"conv1.weight": np.zeros((2, 2), np.float32), "conv1.bias": np.zeros(2, np.float32)}


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("net.pt", b"", PICKLE),
        ("net.PTH", b"", PICKLE),
        ("net.ckpt", b"", PICKLE),
        ("net", b"PK\x03\x04 a zip of torch.save", PICKLE),
        ("net", b"\x80\x02}q\x00.", PICKLE),
        ("net.onnx", b"\x08\x07", "an ONNX model, which cannot be imported yet"),
        ("net.tflite", b"", "a TFLite model, which cannot be imported yet"),
        ("net.h5", b"", "a Keras model, which cannot be imported"),
        ("net", b"\x89HDF\r\n\x1a\n", "a Keras model, which cannot be imported"),
        (
            "net.safetensors",
            save(TENSORS, {"format": "pt"}),
            "a safetensors file of another program, with 2 tensors such as 'conv1.bias'",
        ),
        (
            "x.safetensors",
            save(TENSORS, {"intandem_teacher": "{}"}),
            "the teacher of a run, with float weights",
        ),
        (
            "checkpoint.safetensors",
            save(TENSORS, {"intandem_progress": "{}"}),
            "the checkpoint of a run that was interrupted",
        ),
    ],
)
def test_what_is_no_network_is_named(name: str, content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    for read in (check_ours, lambda path: find_network(str(path))):
        with pytest.raises(UserError) as error:
            read(path)
        assert str(error.value) == f"'{path}' must be an integer network, and is {what}{REST}"


def test_of_another_file_of_a_run_its_network_is_named(tmp_path: Path) -> None:
    save_network(tiny(), tmp_path / "network.safetensors")
    (tmp_path / "teacher.safetensors").write_bytes(save(TENSORS, {"intandem_teacher": "{}"}))
    with pytest.raises(UserError, match=r"; use '.*/network.safetensors', or train one: "):
        find_network(str(tmp_path / "teacher.safetensors"))


@pytest.mark.parametrize(
    "content", [b"", b"\x05", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_anything_else_is_left_to_the_reader(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(content)
    check_ours(tmp_path / "net")
    with pytest.raises(UserError, match=r"^network file '.*/net': it must be a"):
        find_network(str(tmp_path / "net"))
