"""boto3 against comprehendmedical (JSON 1.1 here; CBOR is tested from Go), transcribe's medical scribe and connecthealth."""
import io
import json
import shutil
import subprocess
import tempfile
import wave

from galen import ACCOUNT, client, equal, fails, main, pages, refuses, role, true, wait, waits

cm, tr, ch, s3 = client("comprehendmedical"), client("transcribe"), client("connecthealth"), client("s3")


def test_entities():
    text = "Patient denies chest pain. Started on metformin 500 mg twice daily for type 2 diabetes."
    found = cm.detect_entities_v2(Text=text)["Entities"]
    for e in found:
        equal(text[e["BeginOffset"]:e["EndOffset"]], e["Text"], "offsets")
    by = {e["Text"].lower(): e for e in found}
    true("NEGATION" in [t["Name"] for t in by["chest pain"]["Traits"]], "chest pain is negated")
    equal(by["metformin"]["Category"], "MEDICATION", "metformin")
    attributes = {a["Type"]: a["Text"] for a in by["metformin"]["Attributes"]}
    true("500 mg" in (attributes.get("DOSAGE") or attributes.get("STRENGTH", "")), f"dose in {attributes}")
    phi = cm.detect_phi(Text="Mr. John Smith, phone 555-123-4567, was seen on 01/02/2024.")["Entities"]
    true({"NAME", "PHONE_OR_FAX", "DATE"} <= {e["Type"] for e in phi}, f"PHI {[e['Type'] for e in phi]}")
    old = cm.detect_entities(Text=text)["Entities"]
    equal([e["Text"] for e in old], [e["Text"] for e in found], "the deprecated form")
    fails("TextSizeLimitExceededException", cm.detect_entities_v2, Text="x" * 20001, status=400)
    fails("TextSizeLimitExceededException", cm.detect_entities, Text="x" * 20001, status=400)
    fails("TextSizeLimitExceededException", cm.detect_phi, Text="x" * 20001, status=400)
    fails("InvalidRequestException", cm._make_api_call, "DetectEntitiesV2", {"Text": ""}, status=400)


def test_codes():
    text = "Patient with type 2 diabetes denies chest pain. Pain in the right knee."
    try:
        found = cm.infer_icd10_cm(Text=text)["Entities"]
    except cm.exceptions.ServiceUnavailableException as e:
        true("fetch.sh" in str(e), f"what to install: {e}")
        return
    best = {e["Text"].lower(): e["ICD10CMConcepts"][0]["Code"] for e in found}
    equal(best, {"type 2 diabetes": "E11.9", "chest pain": "R07.9", "pain": "M25.561"}, "first candidates")
    true("NEGATION" in [t["Name"] for e in found if e["Text"] == "chest pain" for t in e["Traits"]], "a denied condition keeps its trait")
    fails("TextSizeLimitExceededException", cm.infer_icd10_cm, Text="x" * 10001, status=400)


def test_scribe_from_transcript():
    s3.create_bucket(Bucket="scribe-in")
    s3.create_bucket(Bucket="scribe-out")
    turns = [("CLINICIAN_0", "What brings you in today?"), ("PATIENT_0", "I have had chest pain for two days."), ("CLINICIAN_0", "Any fever?"), ("PATIENT_0", "No."),
             ("CLINICIAN_0", "I will start you on lisinopril ten milligrams and see you in two weeks.")]
    doc = {"Conversation": {"ConversationId": "c1", "LanguageCode": "en-US", "TranscriptSegments": [
        {"SegmentId": f"s{i}", "Content": t, "ParticipantDetails": {"ParticipantRole": r}, "BeginAudioTime": i * 3.0, "EndAudioTime": i * 3.0 + 2.5} for i, (r, t) in enumerate(turns)]}}
    s3.put_object(Bucket="scribe-in", Key="t.json", Body=json.dumps(doc).encode())
    arn = role("scribe", "transcribe.amazonaws.com")
    tr.start_medical_scribe_job(MedicalScribeJobName="suite-1", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=arn,
                                Settings={"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2})
    get = lambda: tr.get_medical_scribe_job(MedicalScribeJobName="suite-1")["MedicalScribeJob"]
    waits(tr, "medical_scribe_job_completed", MedicalScribeJobName="suite-1")
    out = get()["MedicalScribeOutput"]
    load = lambda uri: json.loads(s3.get_object(Bucket="scribe-out", Key=uri.split("scribe-out/")[-1])["Body"].read())
    segments = {s["SegmentId"] for s in load(out["TranscriptFileUri"])["Conversation"]["TranscriptSegments"]}
    note = load(out["ClinicalDocumentUri"])["ClinicalDocumentation"]["Sections"]
    lines = [s for sec in note for s in sec["Summary"]]
    true(len(lines) > 0, "a note with lines")
    for line in lines:
        true(line["EvidenceLinks"] and all(e["SegmentId"] in segments for e in line["EvidenceLinks"]), f"evidence of {line}")
    true("chest pain" in json.dumps(note).lower(), "the complaint is in the note")
    fails("ConflictException", tr.start_medical_scribe_job, MedicalScribeJobName="suite-1", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=arn,
          Settings={"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2})
    for n in (2, 3):
        tr.start_medical_scribe_job(MedicalScribeJobName=f"suite-{n}", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=arn, Settings={"ShowSpeakerLabels": True, "MaxSpeakerLabels": 2})
        waits(tr, "medical_scribe_job_completed", MedicalScribeJobName=f"suite-{n}")
    seen, token = [], None
    while True:  # botocore has no paginator for it
        page = tr.list_medical_scribe_jobs(Status="COMPLETED", JobNameContains="suite-", MaxResults=2, **({"NextToken": token} if token else {}))
        true(len(page["MedicalScribeJobSummaries"]) <= 2, "a page of two")
        seen += [j["MedicalScribeJobName"] for j in page["MedicalScribeJobSummaries"]]
        token = page.get("NextToken")
        if not token:
            break
    equal(sorted(seen), ["suite-1", "suite-2", "suite-3"], "listed")
    job = f"arn:aws:transcribe:us-east-1:{ACCOUNT}:medical-scribe-job/suite-1"
    tr.tag_resource(ResourceArn=job, Tags=[{"Key": "c", "Value": "d"}, {"Key": "e", "Value": "f"}])
    tr.untag_resource(ResourceArn=job, TagKeys=["c"])
    equal(tr.list_tags_for_resource(ResourceArn=job)["Tags"], [{"Key": "e", "Value": "f"}], "tags of a job")
    tr.delete_medical_scribe_job(MedicalScribeJobName="suite-1")
    fails("NotFoundException", tr.get_medical_scribe_job, MedicalScribeJobName="suite-1")


def recording(*channels):
    """A WAV of 16-bit channels at 16 kHz."""
    out = io.BytesIO()
    n = max(len(c) for c in channels) // 2
    with wave.open(out, "wb") as w:
        w.setnchannels(len(channels)), w.setsampwidth(2), w.setframerate(16000)
        padded = [c.ljust(2 * n, b"\0") for c in channels]
        w.writeframes(b"".join(p[2 * i:2 * i + 2] for i in range(n) for p in padded))
    return out.getvalue()


def said(text, voice):
    with tempfile.TemporaryDirectory() as d:
        subprocess.run(["flite", "-voice", voice, "-t", text, "-o", d + "/x.wav"], check=True)
        with wave.open(d + "/x.wav") as w:
            return w.readframes(w.getnframes())


def test_scribe_from_recording():
    s3.create_bucket(Bucket="scribe-sound")
    arn = role("scribe-sound", "transcribe.amazonaws.com")
    key = client("kms").create_key()["KeyMetadata"]["Arn"]
    start = lambda name, **kw: tr.start_medical_scribe_job(MedicalScribeJobName=name, Media={"MediaFileUri": f"s3://scribe-sound/{name}.wav"}, OutputBucketName="scribe-sound", DataAccessRoleArn=arn,
                                                           Settings={"ChannelIdentification": True}, ChannelDefinitions=[{"ChannelId": 0, "ParticipantRole": "CLINICIAN"}, {"ChannelId": 1, "ParticipantRole": "PATIENT"}], **kw)
    get = lambda name: tr.get_medical_scribe_job(MedicalScribeJobName=name)["MedicalScribeJob"]
    end = lambda name: wait(lambda: get(name)["MedicalScribeJobStatus"], ["COMPLETED", "FAILED"])
    s3.put_object(Bucket="scribe-sound", Key="silence.wav", Body=recording(b"\0\0" * 16000, b"\0\0" * 16000))
    start("silence")
    equal(end("silence"), "FAILED", "silence")
    reason = get("silence")["FailureReason"]
    true("No speech" in reason or "not installed" in reason, reason)
    if "not installed" in reason or not shutil.which("flite"):
        return
    second = b"\0\0" * 16000
    ask, tell = said("What brings you in today?", "rms"), said("I have had chest pain for two days.", "slt")
    s3.put_object(Bucket="scribe-sound", Key="visit.wav", Body=recording(ask + second, b"\0" * len(ask) + second + tell + second))
    start("visit", OutputEncryptionKMSKeyId=key, KMSEncryptionContext={"ward": "7"}, Tags=[{"Key": "a", "Value": "b"}])
    equal(end("visit"), "COMPLETED", get("visit").get("FailureReason", ""))
    out = s3.get_object(Bucket="scribe-sound", Key="visit/summary.json")
    equal(out["SSEKMSKeyId"], key, "the note's key")
    true("chest pain for two days" in out["Body"].read().decode().lower(), "what was said is in the note")
    roles = [x["ParticipantDetails"]["ParticipantRole"] for x in json.loads(s3.get_object(Bucket="scribe-sound", Key="visit/transcript.json")["Body"].read())["Conversation"]["TranscriptSegments"]]
    equal([roles[0], roles[-1]], ["CLINICIAN_0", "PATIENT_0"], "roles by channel")
    equal(tr.list_tags_for_resource(ResourceArn=f"arn:aws:transcribe:us-east-1:{ACCOUNT}:medical-scribe-job/visit")["Tags"], [{"Key": "a", "Value": "b"}], "tags given at the start")


def test_scribe_refusals():
    job = f"arn:aws:transcribe:us-east-1:{ACCOUNT}:medical-scribe-job/none"
    start = dict(MedicalScribeJobName="bad", Media={"MediaFileUri": "s3://scribe-in/t.json"}, OutputBucketName="scribe-out", DataAccessRoleArn=f"arn:aws:iam::{ACCOUNT}:role/scribe")
    refuses(tr,
            ("delete_medical_scribe_job", dict(MedicalScribeJobName="a name with spaces"), "BadRequestException", 400),
            ("get_medical_scribe_job", dict(MedicalScribeJobName="none"), "NotFoundException", 404),
            ("list_medical_scribe_jobs", dict(NextToken="no token of ours"), "BadRequestException", 400),
            ("list_tags_for_resource", dict(ResourceArn=job), "NotFoundException", 404),
            ("start_medical_scribe_job", dict(start, Settings={}), "BadRequestException", 400),
            ("start_medical_scribe_job", dict(start, Settings={"ShowSpeakerLabels": True}), "BadRequestException", 400),
            ("tag_resource", dict(ResourceArn=job, Tags=[{"Key": "a", "Value": "b"}]), "NotFoundException", 404),
            ("untag_resource", dict(ResourceArn=job, TagKeys=["a"]), "NotFoundException", 404))


def test_domains():
    d = ch.create_domain(name="suite", tags={"a": "b"})
    equal(ch.get_domain(domainId=d["domainId"])["status"], "ACTIVE", "domain")
    others = [ch.create_domain(name=f"other-{n}")["domainId"] for n in range(2)]
    equal({x["domainId"] for x in pages(ch, "list_domains", "domains", 2)}, {d["domainId"], *others}, "listed")
    s = ch.create_subscription(domainId=d["domainId"])
    sid = s["subscriptionId"]
    equal(ch.get_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "ACTIVE", "subscription")
    equal(ch.deactivate_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "INACTIVE", "deactivated")
    equal(ch.activate_subscription(domainId=d["domainId"], subscriptionId=sid)["subscription"]["status"], "ACTIVE", "activated")
    more = [ch.create_subscription(domainId=d["domainId"])["subscriptionId"] for _ in range(2)]
    equal({x["subscriptionId"] for x in pages(ch, "list_subscriptions", "subscriptions", 2, domainId=d["domainId"])}, {sid, *more}, "subscriptions listed")
    equal(ch.list_tags_for_resource(resourceArn=d["arn"])["tags"], {"a": "b"}, "tags")
    ch.tag_resource(resourceArn=d["arn"], tags={"c": "d"})
    ch.untag_resource(resourceArn=d["arn"], tagKeys=["a"])
    equal(ch.list_tags_for_resource(resourceArn=d["arn"])["tags"], {"c": "d"}, "tags changed")
    none = dict(domainId="hai-" + "0" * 20)
    sub, here = dict(subscriptionId="sub-" + "0" * 21), dict(domainId=d["domainId"])
    nowhere = d["arn"].replace(d["domainId"], none["domainId"])
    gone, invalid = "ResourceNotFoundException", "ValidationException"
    refuses(ch,
            ("activate_subscription", {**here, **sub}, gone, 404),
            ("create_domain", dict(name="x" * 65), invalid, 400),
            ("create_subscription", none, gone, 404),
            ("deactivate_subscription", {**here, **sub}, gone, 404),
            ("delete_domain", none, gone, 404),
            ("get_domain", none, gone, 404),
            ("get_subscription", {**here, **sub}, gone, 404),
            ("list_domains", dict(nextToken="no token of ours"), invalid, 400),
            ("list_subscriptions", dict(domainId="not an id"), invalid, 400),
            ("list_tags_for_resource", dict(resourceArn=nowhere), gone, 404),
            ("tag_resource", dict(resourceArn=d["arn"], tags={"aws:x": "y"}), invalid, 400),
            ("untag_resource", dict(resourceArn=nowhere, tagKeys=["a"]), gone, 404))
    for one in [d["domainId"], *others]:
        ch.delete_domain(domainId=one)
    wait(lambda: str(ch.list_domains(status="ACTIVE")["domains"]), ["[]"], what="domains")


main()
