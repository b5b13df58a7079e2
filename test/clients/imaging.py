"""boto3 against medical-imaging, and DICOMweb beside it with dicomweb-client."""
import gzip
import io
import json
import sys
import zlib

import numpy
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from galen import client, equal, fails, http, main, role, true, wait

mi, s3 = client("medical-imaging"), client("s3")
store = {}
study = generate_uid()[:40]
series = study + ".1"


def slice_(n, patient="SUITE1"):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CTImageStorage, f"{series}.{n}", ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = CTImageStorage, f"{series}.{n}", study, series
    ds.PatientID, ds.PatientName, ds.Modality, ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = patient, "Suite^One", "CT", "20240102", "101112", "A1", "S1"
    ds.SeriesNumber, ds.InstanceNumber, ds.SeriesDescription = 1, n, "phantom"
    ds.Rows = ds.Columns = 64
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 1, "MONOCHROME2", 16, 16, 15, 1
    y, x = numpy.mgrid[0:64, 0:64]
    px = ((x * 37 + y * 91 + n * 1000) % 4000 - 1000).astype("<i2")
    ds.PixelData = px.tobytes()
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue(), px


def test_datastore():
    store["id"] = mi.create_datastore(datastoreName="suite")["datastoreId"]
    get = lambda: mi.get_datastore(datastoreId=store["id"])["datastoreProperties"]
    wait(lambda: get()["datastoreStatus"], ["ACTIVE"], ["CREATE_FAILED"])
    store["arn"] = get()["datastoreArn"]
    true(store["id"] in [d["datastoreId"] for d in mi.list_datastores()["datastoreSummaries"]], "listed")
    mi.tag_resource(resourceArn=store["arn"], tags={"a": "b"})
    equal(mi.list_tags_for_resource(resourceArn=store["arn"])["tags"], {"a": "b"}, "tags")
    mi.untag_resource(resourceArn=store["arn"], tagKeys=["a"])
    fails("ResourceNotFoundException", mi.get_datastore, datastoreId="0" * 32, status=404)


def test_import():
    s3.create_bucket(Bucket="mi-in")
    s3.create_bucket(Bucket="mi-out")
    for n in range(1, 4):
        s3.put_object(Bucket="mi-in", Key=f"ct/{n}.dcm", Body=slice_(n)[0])
    s3.put_object(Bucket="mi-in", Key="ct/junk.dcm", Body=b"this is not DICOM")
    arn = role("mi-import", "medical-imaging.amazonaws.com")
    job = mi.start_dicom_import_job(datastoreId=store["id"], dataAccessRoleArn=arn, inputS3Uri="s3://mi-in/ct/", outputS3Uri="s3://mi-out/o/", jobName="suite")["jobId"]
    props = lambda: mi.get_dicom_import_job(datastoreId=store["id"], jobId=job)["jobProperties"]
    wait(lambda: props()["jobStatus"], ["COMPLETED"], ["FAILED"])
    true(job in [j["jobId"] for j in mi.list_dicom_import_jobs(datastoreId=store["id"])["jobSummaries"]], "listed")
    uri = props()["outputS3Uri"]
    bucket, prefix = uri[5:].split("/", 1)
    m = json.loads(s3.get_object(Bucket=bucket, Key=prefix + "job-output-manifest.json")["Body"].read())["jobSummary"]
    equal((m["numberOfImportedFiles"], m["numberOfFilesWithCustomerError"], m["numberOfGeneratedImageSets"]), (3, 1, 1), "manifest")
    store["set"] = m["imageSetsSummary"][0]["imageSetId"]


def test_image_set():
    kw = dict(datastoreId=store["id"], imageSetId=store["set"])
    s = mi.get_image_set(**kw)
    equal((s["imageSetState"], s["versionId"]), ("ACTIVE", "1"), "image set")
    found = mi.search_image_sets(datastoreId=store["id"], searchCriteria={"filters": [{"values": [{"DICOMPatientId": "SUITE1"}], "operator": "EQUAL"}]})["imageSetsMetadataSummaries"]
    equal([f["imageSetId"] for f in found], [store["set"]], "search")
    raw = mi.get_image_set_metadata(**kw)
    equal((raw["contentType"], raw.get("contentEncoding")), ("application/json", "gzip"), "metadata headers")
    meta = json.loads(gzip.decompress(raw["imageSetMetadataBlob"].read()))
    equal(meta["Patient"]["DICOM"]["PatientID"], "SUITE1", "metadata")
    instances = meta["Study"]["Series"][series]["Instances"]
    equal(len(instances), 3, "instances")
    for uid, inst in instances.items():
        frame = inst["ImageFrames"][0]
        got = mi.get_image_frame(**kw, imageFrameInformation={"imageFrameId": frame["ID"]})
        code = got["imageFrameBlob"].read()
        equal(code[:2], b"\xff\x4f", "an HTJ2K codestream")
        n = int(uid.rsplit(".", 1)[1])
        want = zlib.crc32(slice_(n)[1].tobytes())
        equal(frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"], want, "checksum of the full resolution")
    fails("ResourceNotFoundException", mi.get_image_frame, **kw, imageFrameInformation={"imageFrameId": "f" * 32}, status=404)


def test_update():
    kw = dict(datastoreId=store["id"], imageSetId=store["set"])
    change = json.dumps({"SchemaVersion": 1.1, "Patient": {"DICOM": {"PatientName": "Changed^Name"}}}).encode()
    mi.update_image_set_metadata(**kw, latestVersionId="1", updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": change}})
    wait(lambda: mi.get_image_set(**kw)["imageSetWorkflowStatus"], ["UPDATED"], ["UPDATE_FAILED"])
    equal(mi.get_image_set(**kw)["versionId"], "2", "version")
    read = lambda **v: json.loads(gzip.decompress(mi.get_image_set_metadata(**kw, **v)["imageSetMetadataBlob"].read()))["Patient"]["DICOM"]["PatientName"]
    equal((read(), read(versionId="1")), ("Changed^Name", "Suite^One"), "both versions")
    fails("ConflictException", mi.update_image_set_metadata, **kw, latestVersionId="1", updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": change}}, status=409)
    equal([v["versionId"] for v in mi.list_image_set_versions(**kw)["imageSetPropertiesList"]][0], "2", "versions, newest first")


def test_dicomweb():
    from dicomweb_client.api import DICOMwebClient
    import requests
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    import boto3
    from galen import ENDPOINT, REGION

    class Sign(requests.auth.AuthBase):
        def __call__(self, r):
            req = AWSRequest(method=r.method, url=r.url, data=r.body or b"", headers={k: v for k, v in r.headers.items() if k.lower() in ("content-type", "host")})
            SigV4Auth(boto3.Session().get_credentials(), "medical-imaging", REGION).add_auth(req)
            r.headers.update(dict(req.headers))
            return r

    session = requests.Session()
    session.auth = Sign()
    web = DICOMwebClient(f"{ENDPOINT}/datastore/{store['id']}", session=session)
    studies = web.search_for_studies(search_filters={"PatientID": "SUITE1"})
    equal([s["0020000D"]["Value"][0] for s in studies], [study], "QIDO studies")
    equal(len(web.search_for_instances(study, series)), 3, "QIDO instances")
    data, px = slice_(9)
    answer = web.store_instances([pydicom.dcmread(io.BytesIO(data))])
    true(len(answer.ReferencedSOPSequence) == 1, "STOW")
    equal(len(web.search_for_instances(study, series)), 4, "after STOW")
    ds = web.retrieve_instance(study, series, f"{series}.9")
    equal(ds.PatientID, "SUITE1", "WADO instance")
    frame = web.retrieve_instance_frames(study, series, f"{series}.9", [1])[0]
    equal(frame, px.tobytes(), "decoded frame")
    equal(len(web.retrieve_series_metadata(study, series)), 4, "WADO metadata")
    web.store_instances([pydicom.dcmread(io.BytesIO(data))])
    equal(len(web.search_for_instances(study, series)), 4, "the same instance twice changes nothing")


def test_delete():
    s = mi.search_image_sets(datastoreId=store["id"], searchCriteria={})["imageSetsMetadataSummaries"]
    for one in s:
        mi.delete_image_set(datastoreId=store["id"], imageSetId=one["imageSetId"])
    wait(lambda: str(len(mi.search_image_sets(datastoreId=store["id"], searchCriteria={})["imageSetsMetadataSummaries"])), ["0"])
    d = mi.create_datastore(datastoreName="gone")["datastoreId"]
    wait(lambda: mi.get_datastore(datastoreId=d)["datastoreProperties"]["datastoreStatus"], ["ACTIVE"])
    mi.delete_datastore(datastoreId=d)
    wait(lambda: mi.get_datastore(datastoreId=d)["datastoreProperties"]["datastoreStatus"], ["DELETED"])


main()
