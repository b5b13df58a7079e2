"""Drives the DICOMweb root with dicomweb-client and holds what comes back against pydicom's reading of the same files.

client.py ROOT FILE...
"""
import sys

import numpy as np
import pydicom
from dicomweb_client.api import DICOMwebClient

root, paths = sys.argv[1], sys.argv[2:]
client = DICOMwebClient(root)
files = [pydicom.dcmread(p) for p in paths]

reply = client.store_instances(datasets=files)
assert len(reply.ReferencedSOPSequence) == len(files), reply
assert "FailedSOPSequence" not in reply, reply

studies = client.search_for_studies(limit=100)
assert {s["0020000D"]["Value"][0] for s in studies} == {f.StudyInstanceUID for f in files}, studies

for f in files:
    uids = (f.StudyInstanceUID, f.SeriesInstanceUID, f.SOPInstanceUID)
    found = client.search_for_studies(search_filters={"PatientID": f.PatientID}, fields=["PatientName"])
    assert f.StudyInstanceUID in [s["0020000D"]["Value"][0] for s in found], f.PatientID
    series = client.search_for_series(f.StudyInstanceUID)
    assert f.SeriesInstanceUID in [s["0020000E"]["Value"][0] for s in series]
    instances = client.search_for_instances(f.StudyInstanceUID, f.SeriesInstanceUID)
    assert f.SOPInstanceUID in [i["00080018"]["Value"][0] for i in instances]

    meta = pydicom.Dataset.from_json(client.retrieve_instance_metadata(*uids))
    for e in f:
        if e.tag.group == 0x7FE0 or e.VR in ("UN", "SQ", "OB", "OW") or e.tag.is_private or e.keyword == "SpecificCharacterSet":
            continue
        if e.VR in ("DS", "FL", "FD") and e.value not in (None, ""):
            assert np.allclose(np.atleast_1d(np.array(e.value, float)), np.atleast_1d(np.array(meta[e.tag].value, float))), e
        else:
            assert str(meta[e.tag].value or "") == str(e.value or ""), (e, meta[e.tag])
    assert len(client.retrieve_series_metadata(*uids[:2])) >= 1
    assert len(client.retrieve_study_metadata(uids[0])) >= 1

    back = client.retrieve_instance(*uids, media_types=(("application/dicom", "1.2.840.10008.1.2.1"),))
    assert np.array_equal(back.pixel_array, f.pixel_array), uids
    stored = client.retrieve_instance(*uids, media_types=(("application/dicom", "*"),))
    assert stored.SOPInstanceUID == f.SOPInstanceUID

    frames = int(getattr(f, "NumberOfFrames", 1))
    raw = client.retrieve_instance_frames(*uids, frame_numbers=list(range(1, frames + 1)))
    assert len(raw) == frames
    want = f.pixel_array if frames > 1 else f.pixel_array[np.newaxis]
    for got, frame in zip(raw, want):
        assert got == frame.tobytes(), uids
    print("ok", f.SOPInstanceUID, frames)
