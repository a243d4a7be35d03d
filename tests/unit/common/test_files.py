"""The folder of a daemon's data."""

import os
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError
from assay.files import make_data_folder


def test_a_folder_is_made_for_owner_and_group(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_data_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o750


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    make_data_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o711


def test_a_file_in_the_way_is_a_refusal_that_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPreconditionError) as refused:
        make_data_folder(tmp_path / "file", "directory")
    assert refused.value.message == f"data directory {tmp_path / 'file'} cannot be made: File exists"
    assert refused.value.hint == "set directory to a folder we may write"
