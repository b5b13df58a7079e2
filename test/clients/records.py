"""boto3 against healthlake, and signed FHIR REST beside it."""
import json
import uuid

from galen import ACCOUNT, ENDPOINT, client, equal, fails, http, main, refuses, role, true, wait, waits

hl, s3, kms = client("healthlake"), client("s3"), client("kms")
store = {}


def fhir(method, path, body=None, **headers):
    h = {"Content-Type": "application/fhir+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    data = json.dumps(body).encode() if body is not None else None
    status, head, raw = http(method, f"/datastore/{store['id']}/r4/{path}", "healthlake", data, h)
    return status, head, json.loads(raw) if raw else None


def test_datastore():
    r = hl.create_fhir_datastore(DatastoreName="suite", DatastoreTypeVersion="R4", Tags=[{"Key": "a", "Value": "b"}])
    store["id"], store["arn"] = r["DatastoreId"], r["DatastoreArn"]
    waits(hl, "fhir_datastore_active", DatastoreId=store["id"])
    props = hl.describe_fhir_datastore(DatastoreId=store["id"])["DatastoreProperties"]
    equal(props["DatastoreEndpoint"], f"{ENDPOINT}/datastore/{store['id']}/r4/", "where FHIR is")
    equal(props, hl.describe_fhir_datastore(DatastoreId=store["id"])["DatastoreProperties"], "the same twice")
    true(store["id"] in [d["DatastoreId"] for d in hl.list_fhir_datastores(Filter={"DatastoreStatus": "ACTIVE"})["DatastorePropertiesList"]], "listed")
    equal(hl.list_tags_for_resource(ResourceARN=store["arn"])["Tags"], [{"Key": "a", "Value": "b"}], "tags")
    hl.tag_resource(ResourceARN=store["arn"], Tags=[{"Key": "c", "Value": "d"}])
    hl.untag_resource(ResourceARN=store["arn"], TagKeys=["a"])
    equal(hl.list_tags_for_resource(ResourceARN=store["arn"])["Tags"], [{"Key": "c", "Value": "d"}], "tags changed")
    fails("ResourceNotFoundException", hl.describe_fhir_datastore, DatastoreId="0" * 32, status=404)
    fails("ValidationException", hl.create_fhir_datastore, DatastoreTypeVersion="R9", status=400)


def test_resources():
    status, head, p = fhir("POST", "Patient", {"resourceType": "Patient", "name": [{"family": "Suite", "given": ["Ann"]}], "birthDate": "1970-02-03", "gender": "female"})
    equal((status, p["meta"]["versionId"]), (201, "1"), "create")
    true(head["Location"].endswith(f"Patient/{p['id']}/_history/1"), head.get("Location"))
    equal(head["ETag"], 'W/"1"', "ETag")
    p["active"] = True
    status, head, p2 = fhir("PUT", f"Patient/{p['id']}", p, If_Match='W/"1"')
    equal((status, p2["meta"]["versionId"]), (200, "2"), "update")
    status, _, outcome = fhir("PUT", f"Patient/{p['id']}", p, If_Match='W/"1"')
    equal((status, outcome["resourceType"]), (412, "OperationOutcome"), "a stale If-Match")
    equal(fhir("GET", f"Patient/{p['id']}/_history/1")[2].get("active"), None, "first version")
    equal(len(fhir("GET", f"Patient/{p['id']}/_history")[2]["entry"]), 2, "history")
    status, _, outcome = fhir("POST", "Patient", {"resourceType": "Patient", "nmae": "typo"})
    equal((status, outcome["resourceType"]), (400, "OperationOutcome"), "unknown element")
    equal(fhir("GET", "Patient/none")[0], 404, "absent")
    equal(fhir("DELETE", f"Patient/{p['id']}")[0] in (200, 204), True, "delete")
    equal(fhir("GET", f"Patient/{p['id']}")[0], 410, "gone")
    equal(http("GET", f"/datastore/{store['id']}/r4/Patient/x", "healthlake", sign=False)[0], 401, "no signature")


def test_transaction_and_search():
    urn = "urn:uuid:" + str(uuid.uuid4())
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": urn, "resource": {"resourceType": "Patient", "identifier": [{"system": "urn:s", "value": "42"}], "name": [{"family": "Linked"}], "birthDate": "1980"}, "request": {"method": "POST", "url": "Patient"}}] + [
        {"resource": {"resourceType": "Observation", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]}, "subject": {"reference": urn},
                      "effectiveDateTime": f"2024-01-{d:02d}T08:00:00Z", "valueQuantity": {"value": 60 + d, "unit": "/min", "system": "http://unitsofmeasure.org", "code": "/min"}}, "request": {"method": "POST", "url": "Observation"}} for d in range(1, 13)]}
    status, _, answer = fhir("POST", "", bundle)
    equal((status, answer["type"], len(answer["entry"])), (200, "transaction-response", 13), "transaction")
    pid = answer["entry"][0]["response"]["location"].split("/_history")[0].split("Patient/")[-1]
    _, _, found = fhir("GET", "Patient?identifier=urn:s|42")
    equal([e["resource"]["id"] for e in found["entry"]], [pid], "by identifier")
    _, _, found = fhir("GET", f"Observation?subject=Patient/{pid}&code=http://loinc.org|8867-4&date=ge2024-01-05&_sort=-date&_count=3&_include=Observation:subject")
    matches = [e for e in found["entry"] if e["search"]["mode"] == "match"]
    equal([m["resource"]["effectiveDateTime"][:10] for m in matches], ["2024-01-12", "2024-01-11", "2024-01-10"], "sorted page")
    equal([e["resource"]["id"] for e in found["entry"] if e["search"]["mode"] == "include"], [pid], "_include")
    seen, nxt = 3, next(l["url"] for l in found["link"] if l["relation"] == "next")
    while nxt:
        _, _, raw = http("GET", nxt[nxt.index("/datastore"):], "healthlake")
        page = json.loads(raw)
        seen += sum(1 for e in page["entry"] if e["search"]["mode"] == "match")
        nxt = next((l["url"] for l in page["link"] if l["relation"] == "next"), None)
    equal(seen, 8, "all pages")
    equal(fhir("GET", "Observation?subject.identifier=urn:s|42&_summary=count")[2]["total"], 12, "chained")
    equal(fhir("GET", "Patient?_has:Observation:subject:code=8867-4")[2]["entry"][0]["resource"]["id"], pid, "_has")
    equal(fhir("GET", "Patient?name=Link")[2]["entry"][0]["resource"]["id"], pid, "by string")
    equal(fhir("GET", "Patient?nosuchparam=1")[0], 400, "unknown parameter")
    bad = json.loads(json.dumps(bundle))
    bad["entry"][5]["resource"]["status"] = "nonsense"
    before = fhir("GET", "Observation?_summary=count")[2]["total"]
    equal(fhir("POST", "", bad)[0], 400, "one bad entry fails all")
    equal(fhir("GET", "Observation?_summary=count")[2]["total"], before, "nothing was written")
    equal(fhir("GET", "metadata")[2]["fhirVersion"], "4.0.1", "capability statement")


def test_import():
    s3.create_bucket(Bucket="hl-in")
    s3.create_bucket(Bucket="hl-out")
    lines = [json.dumps({"resourceType": "Patient", "id": f"imp{i}", "gender": "male"}) for i in range(250)] + ['{"resourceType":"Patient"}', "not json"]
    s3.put_object(Bucket="hl-in", Key="in/patients.ndjson", Body="\n".join(lines).encode())
    arn = role("hl-import", "healthlake.amazonaws.com")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    job = hl.start_fhir_import_job(DatastoreId=store["id"], InputDataConfig={"S3Uri": "s3://hl-in/in/"}, DataAccessRoleArn=arn, JobName="suite",
                                   JobOutputDataConfig={"S3Configuration": {"S3Uri": "s3://hl-out/o/", "KmsKeyId": key}})["JobId"]
    props = lambda: hl.describe_fhir_import_job(DatastoreId=store["id"], JobId=job)["ImportJobProperties"]
    wait(lambda: props()["JobStatus"], ["COMPLETED", "COMPLETED_WITH_ERRORS"], ["FAILED"])
    equal(props()["JobStatus"], "COMPLETED_WITH_ERRORS", "two bad lines")
    report = props()["JobProgressReport"]
    equal((report["TotalNumberOfResourcesImported"], report["TotalNumberOfResourcesWithCustomerError"]), (250, 2), "counters")
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket="hl-out")["Contents"]]
    manifest = [k for k in keys if k.endswith("manifest.json")]
    equal(len(manifest), 1, f"one manifest in {keys}")
    m = json.loads(s3.get_object(Bucket="hl-out", Key=manifest[0])["Body"].read())
    equal(m["numberOfResourcesImportedSuccessfully"], 250, "manifest")
    equal(fhir("GET", "Patient/imp7")[2]["gender"], "male", "imported resource")
    true(job in [j["JobId"] for j in hl.list_fhir_import_jobs(DatastoreId=store["id"])["ImportJobPropertiesList"]], "listed")
    fails("ResourceNotFoundException", hl.describe_fhir_import_job, DatastoreId=store["id"], JobId="0" * 32, status=404)


def test_export():
    whole = lambda: {t: fhir("GET", f"{t}?_summary=count")[2]["total"] for t in ("Patient", "Observation")}
    want = whole()
    arn = role("hl-export", "healthlake.amazonaws.com")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    start = lambda **kw: hl.start_fhir_export_job(DatastoreId=store["id"], DataAccessRoleArn=arn, **{"OutputDataConfig": {"S3Configuration": {"S3Uri": "s3://hl-out/export/", "KmsKeyId": key}}, **kw})
    job = start(JobName="everything", ClientToken="once")["JobId"]
    equal(start(JobName="everything", ClientToken="once")["JobId"], job, "the same request again is the same job")
    waits(hl, "fhir_export_job_completed", DatastoreId=store["id"], JobId=job)
    props = hl.describe_fhir_export_job(DatastoreId=store["id"], JobId=job)["ExportJobProperties"]
    equal((props["JobStatus"], props["JobName"], props["OutputDataConfig"]["S3Configuration"]["KmsKeyId"]), ("COMPLETED", "everything", key), "export")
    true(props["EndTime"] >= props["SubmitTime"], "times")
    found = {}
    for o in s3.list_objects_v2(Bucket="hl-out", Prefix="export/")["Contents"]:
        got = s3.get_object(Bucket="hl-out", Key=o["Key"])
        equal(got["SSEKMSKeyId"], key, "the export's key")
        if o["Key"].endswith(".ndjson"):
            for line in got["Body"].read().splitlines():
                r = json.loads(line)
                found.setdefault(r["resourceType"], {})[r["id"]] = r
    equal({t: len(r) for t, r in found.items()}, want, "every resource once")
    equal(found["Patient"]["imp7"]["gender"], "male", "content")
    equal([j["JobId"] for j in hl.list_fhir_export_jobs(DatastoreId=store["id"], JobStatus="COMPLETED", JobName="everything")["ExportJobPropertiesList"]], [job], "listed")
    # What was exported goes into another store whole.
    other = hl.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName="restored")["DatastoreId"]
    waits(hl, "fhir_datastore_active", DatastoreId=other)
    into = role("hl-import", "healthlake.amazonaws.com")
    back = hl.start_fhir_import_job(DatastoreId=other, InputDataConfig={"S3Uri": "s3://hl-out/export/"}, DataAccessRoleArn=into, JobOutputDataConfig={"S3Configuration": {"S3Uri": "s3://hl-out/again/", "KmsKeyId": key}})["JobId"]
    waits(hl, "fhir_import_job_completed", DatastoreId=other, JobId=back)
    mine, store["id"] = store["id"], other
    equal(whole(), want, "the other store has the same")
    store["id"] = mine


def test_update():
    p = hl.update_fhir_datastore(DatastoreId=store["id"], DatastoreName="renamed")["DatastoreProperties"]
    equal((p["DatastoreName"], p["DatastoreStatus"]), ("renamed", "ACTIVE"), "renamed")
    equal([d["DatastoreId"] for d in hl.list_fhir_datastores(Filter={"DatastoreName": "renamed"})["DatastorePropertiesList"]], [store["id"]], "found by its new name")
    for n in range(3):
        hl.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName=f"paged-{n}")
    seen, token = [], None
    while True:
        page = hl.list_fhir_datastores(MaxResults=2, **({"NextToken": token} if token else {}))
        seen += [d["DatastoreName"] for d in page["DatastorePropertiesList"]]
        token = page.get("NextToken")
        if not token:
            break
    equal(seen, ["renamed", "restored", "paged-0", "paged-1", "paged-2"], "by pages of two")


def test_refusals():
    none, arn = "0" * 32, role("hl-import", "healthlake.amazonaws.com")
    out = {"S3Configuration": {"S3Uri": "s3://hl-out/o/", "KmsKeyId": "alias/none"}}
    start = dict(DatastoreId=store["id"], DataAccessRoleArn=arn)
    nowhere = f"arn:aws:healthlake:us-east-1:{ACCOUNT}:datastore/fhir/{none}"
    refuses(hl,
            ("create_fhir_datastore", dict(DatastoreTypeVersion="R4", SseConfiguration={"KmsEncryptionConfig": {"CmkType": "CUSTOMER_MANAGED_KMS_KEY"}}), "ValidationException", 400),
            ("delete_fhir_datastore", dict(DatastoreId=none), "ResourceNotFoundException", 404),
            ("describe_fhir_datastore", dict(DatastoreId="x" * 33), "ValidationException", 400),
            ("describe_fhir_export_job", dict(DatastoreId=store["id"], JobId=none), "ResourceNotFoundException", 404),
            ("list_fhir_datastores", dict(NextToken="no token of ours"), "ValidationException", 400),
            ("list_fhir_export_jobs", dict(DatastoreId=none), "ResourceNotFoundException", 404),
            ("list_fhir_import_jobs", dict(DatastoreId=store["id"], NextToken="no token of ours"), "ValidationException", 400),
            ("list_tags_for_resource", dict(ResourceARN=nowhere), "ResourceNotFoundException", 404),
            ("start_fhir_export_job", dict(start, OutputDataConfig={"S3Configuration": {"S3Uri": "https://hl-out/", "KmsKeyId": "alias/none"}}), "ValidationException", 400),
            ("start_fhir_export_job", dict(DatastoreId=none, DataAccessRoleArn=arn, OutputDataConfig=out), "ResourceNotFoundException", 404),
            ("start_fhir_import_job", dict(DatastoreId=none, DataAccessRoleArn=arn, InputDataConfig={"S3Uri": "s3://hl-in/in/"}, JobOutputDataConfig=out), "ResourceNotFoundException", 404),
            ("start_fhir_import_job", dict(start, InputDataConfig={"S3Uri": "s3://hl-in/in/"}, JobOutputDataConfig=out, ProfileId="p" * 32), "ValidationException", 400),
            ("tag_resource", dict(ResourceARN=store["arn"], Tags=[{"Key": "aws:a", "Value": "b"}]), "ValidationException", 400),
            ("untag_resource", dict(ResourceARN=nowhere, TagKeys=["a"]), "ResourceNotFoundException", 404),
            ("update_fhir_datastore", dict(DatastoreId=none, DatastoreName="x"), "ResourceNotFoundException", 404))


def test_delete():
    r = hl.create_fhir_datastore(DatastoreTypeVersion="R4", DatastoreName="short-lived")
    waits(hl, "fhir_datastore_active", DatastoreId=r["DatastoreId"])
    hl.delete_fhir_datastore(DatastoreId=r["DatastoreId"])
    waits(hl, "fhir_datastore_deleted", DatastoreId=r["DatastoreId"])
    fails("ConflictException", hl.update_fhir_datastore, DatastoreId=r["DatastoreId"], DatastoreName="too late", status=409)
    equal(http("GET", f"/datastore/{r['DatastoreId']}/r4/Patient", "healthlake")[0] in (400, 404), True, "a deleted store serves nothing")


main()
