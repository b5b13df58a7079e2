"""boto3 against medical-imaging, and DICOMweb beside it with dicomweb-client, DCMTK and OpenJPEG."""
import gzip
import io
import json
import shutil
import subprocess
import tempfile
import zlib

import numpy
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from galen import ACCOUNT, client, equal, fails, main, pages, refuses, role, true, wait

mi, s3 = client("medical-imaging"), client("s3")
store = {}
study = generate_uid()[:40]
series = study + ".1"


def slice_(n, patient="SUITE1", of=""):
    """The n-th slice of the study, or of another one."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = CTImageStorage, f"{series}{of}.{n}", ExplicitVRLittleEndian
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SOPClassUID, ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = CTImageStorage, f"{series}{of}.{n}", study + of, series + of
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
    other = mi.create_datastore(datastoreName="other")["datastoreId"]
    equal({d["datastoreId"] for d in pages(mi, "list_datastores", "datastoreSummaries", 1)}, {store["id"], other}, "listed")
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
    s3.put_object(Bucket="mi-in", Key="other/1.dcm", Body=slice_(1, "SUITE2", "2")[0])
    second = mi.start_dicom_import_job(datastoreId=store["id"], dataAccessRoleArn=arn, inputS3Uri="s3://mi-in/other/", outputS3Uri="s3://mi-out/o/")["jobId"]
    wait(lambda: mi.get_dicom_import_job(datastoreId=store["id"], jobId=second)["jobProperties"]["jobStatus"], ["COMPLETED"], ["FAILED"])
    equal({j["jobId"] for j in pages(mi, "list_dicom_import_jobs", "jobSummaries", 1, datastoreId=store["id"])}, {job, second}, "jobs listed")
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
    equal([v["versionId"] for v in pages(mi, "list_image_set_versions", "imageSetPropertiesList", 1, **kw)], ["2", "1"], "versions, newest first")


def document(image_set):
    return json.loads(gzip.decompress(mi.get_image_set_metadata(datastoreId=store["id"], imageSetId=image_set)["imageSetMetadataBlob"].read()))


def test_copy():
    """One of three slices goes into a new image set of its own; the source stays as it was."""
    one = f"{series}.2"
    pick = json.dumps({"SchemaVersion": "1.1", "Study": {"Series": {series: {"Instances": {one: {}}}}}})
    made = mi.copy_image_set(datastoreId=store["id"], sourceImageSetId=store["set"], copyImageSetInformation={"sourceImageSet": {"latestVersionId": "2", "DICOMCopies": {"copiableAttributes": pick}}})
    copy = made["destinationImageSetProperties"]["imageSetId"]
    of = lambda i: mi.get_image_set(datastoreId=store["id"], imageSetId=i)
    wait(lambda: of(copy)["imageSetWorkflowStatus"], ["COPIED"], ["COPY_FAILED"])
    wait(lambda: of(store["set"])["imageSetState"], ["ACTIVE"])
    equal([len(document(i)["Study"]["Series"][series]["Instances"]) for i in (store["set"], copy)], [3, 1], "instances")
    equal(document(copy)["Patient"]["DICOM"]["PatientName"], "Changed^Name", "the version that was copied")
    frame = document(copy)["Study"]["Series"][series]["Instances"][one]["ImageFrames"][0]
    equal(frame["PixelDataChecksumFromBaseToFullResolution"][-1]["Checksum"], zlib.crc32(slice_(2)[1].tobytes()), "pixels")
    found = [x["imageSetId"] for x in pages(mi, "search_image_sets", "imageSetsMetadataSummaries", 1, datastoreId=store["id"], searchCriteria={"filters": [{"values": [{"DICOMPatientId": "SUITE1"}], "operator": "EQUAL"}]})]
    equal(sorted(found), sorted([store["set"], copy]), "both are found")
    mi.delete_image_set(datastoreId=store["id"], imageSetId=copy)
    wait(lambda: str(len(mi.search_image_sets(datastoreId=store["id"], searchCriteria={"filters": [{"values": [{"DICOMPatientId": "SUITE1"}], "operator": "EQUAL"}]})["imageSetsMetadataSummaries"])), ["1"])


def tool(*args):
    subprocess.run(args, check=True, stdout=subprocess.PIPE)


def test_openjpeg():
    """A decoder of JPEG 2000 that nobody here wrote reads the frames."""
    if not shutil.which("opj_decompress"):
        print("opj_decompress is not installed", flush=True)
        return
    with tempfile.TemporaryDirectory() as d:
        for uid, inst in document(store["set"])["Study"]["Series"][series]["Instances"].items():
            got = mi.get_image_frame(datastoreId=store["id"], imageSetId=store["set"], imageFrameInformation={"imageFrameId": inst["ImageFrames"][0]["ID"]})["imageFrameBlob"].read()
            open(d + "/f.j2c", "wb").write(got)
            tool("opj_decompress", "-quiet", "-i", d + "/f.j2c", "-o", d + "/f.rawl")
            equal(open(d + "/f.rawl", "rb").read(), slice_(int(uid.rsplit(".", 1)[1]))[1].tobytes(), f"pixels of {uid}")


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
    dcmtk(web)


def dcmtk(web):
    """What DCMTK encodes is stored and comes back with the same pixels; what comes back, DCMTK reads."""
    if not shutil.which("dcmcjpls"):
        print("DCMTK is not installed", flush=True)
        return
    with tempfile.TemporaryDirectory() as d:
        for n, encode in enumerate((["dcmcrle"], ["dcmcjpls"], ["dcmcjpeg", "+e1"], ["dcmconv", "+ti"], ["dcmconv", "+td"]), 20):
            data, px = slice_(n)
            open(d + "/in.dcm", "wb").write(data)
            tool(*encode, d + "/in.dcm", d + "/out.dcm")
            web.store_instances([pydicom.dcmread(d + "/out.dcm")])
            equal(web.retrieve_instance_frames(study, series, f"{series}.{n}", [1])[0], px.tobytes(), f"pixels by {encode}")
            web.retrieve_instance(study, series, f"{series}.{n}", media_types=(("application/dicom", ExplicitVRLittleEndian),)).save_as(d + "/back.dcm", enforce_file_format=True)
            tool("dcmftest", d + "/back.dcm")
            dump = subprocess.run(["dcmdump", "+P", "PatientID", "+P", "SOPInstanceUID", d + "/back.dcm"], check=True, capture_output=True, text=True).stdout
            true("[SUITE1]" in dump and f"[{series}.{n}]" in dump, dump)
            tool("dcm2pnm", "--write-16-bit-pnm", d + "/back.dcm", d + "/back.pgm")
            tool("dcm2pnm", "--write-16-bit-pnm", d + "/in.dcm", d + "/in.pgm")
            equal(open(d + "/back.pgm", "rb").read(), open(d + "/in.pgm", "rb").read(), f"DCMTK's picture of both, {encode}")


def test_refusals():
    here, none = dict(datastoreId=store["id"]), "0" * 32
    a_set, no_set = dict(here, imageSetId=store["set"]), dict(here, imageSetId=none)
    nowhere = f"arn:aws:medical-imaging:us-east-1:{ACCOUNT}:datastore/{none}"
    arn = role("mi-import", "medical-imaging.amazonaws.com")
    gone, invalid = "ResourceNotFoundException", "ValidationException"
    refuses(mi,
            ("copy_image_set", dict(here, sourceImageSetId=store["set"], copyImageSetInformation={"sourceImageSet": {"latestVersionId": "1"}}), "ConflictException", 409),
            ("copy_image_set", dict(here, sourceImageSetId=none, copyImageSetInformation={"sourceImageSet": {"latestVersionId": "1"}}), gone, 404),
            ("create_datastore", dict(datastoreName="no spaces, please"), invalid, 400),
            ("delete_datastore", dict(datastoreId=store["id"]), "ConflictException", 409),
            ("delete_datastore", dict(datastoreId=none), gone, 404),
            ("delete_image_set", no_set, gone, 404),
            ("get_datastore", dict(datastoreId="short"), invalid, 400),
            ("get_dicom_import_job", dict(here, jobId=none), gone, 404),
            ("get_image_set", no_set, gone, 404),
            ("get_image_set", dict(a_set, versionId="9"), gone, 404),
            ("get_image_set_metadata", no_set, gone, 404),
            ("list_datastores", dict(nextToken="no token of ours"), invalid, 400),
            ("list_dicom_import_jobs", dict(datastoreId=none), gone, 404),
            ("list_image_set_versions", no_set, gone, 404),
            ("list_tags_for_resource", dict(resourceArn=nowhere), gone, 404),
            ("search_image_sets", dict(here, searchCriteria={"filters": [{"values": [{"DICOMPatientId": "a"}], "operator": "BETWEEN"}]}), invalid, 400),
            ("start_dicom_import_job", dict(datastoreId=none, dataAccessRoleArn=arn, clientToken="t", inputS3Uri="s3://mi-in/ct/", outputS3Uri="s3://mi-out/o/"), gone, 404),
            ("start_dicom_import_job", dict(here, dataAccessRoleArn=arn, clientToken="t", inputS3Uri="https://mi-in/ct/", outputS3Uri="s3://mi-out/o/"), invalid, 400),
            ("tag_resource", dict(resourceArn=nowhere, tags={"a": "b"}), gone, 404),
            ("untag_resource", dict(resourceArn=nowhere, tagKeys=["a"]), gone, 404),
            ("update_image_set_metadata", dict(a_set, latestVersionId="2", updateImageSetMetadataUpdates={"DICOMUpdates": {"updatableAttributes": b"{not json"}}), invalid, 400))


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
