"""Prints elements.txt from the data dictionary of pydicom (MIT): python generate.py > elements.txt, where pydicom 3.0.2 is installed."""
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

rows = [("%08X" % tag, v) for tag, v in DicomDictionary.items()]
rows += [(tag.upper().replace("X", "x"), v) for tag, v in RepeatersDictionary.items()]
print("# DICOM PS3.6 registry of data elements: tag VR VM keyword [R=retired]; x is any digit. Facts of the standard, taken from pydicom 3.0.2 (MIT).")
print("# Regenerate with standard/dicom/tables/generate.py.")
for tag, (vr, vm, _, retired, keyword) in sorted(rows):
    if keyword:
        print(" ".join((tag, vr.replace(" or ", "/"), vm, keyword, "R" if retired else "")).rstrip())
