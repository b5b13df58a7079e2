"""boto3 against omics and athena, and samtools on what comes back."""
import base64
import gzip
import hashlib
import os
import random
import shutil
import subprocess
import tempfile

from botocore.exceptions import ClientError
from galen import ACCOUNT, client, equal, fails, main, paged, pages, refuses, role, true, wait, waits

om, s3, athena = client("omics"), client("s3"), client("athena")
rng = random.Random(5)
SEQ = "".join(rng.choice("ACGT") for _ in range(3000))
FASTA = (">suite1\n" + "\n".join(SEQ[i:i + 60] for i in range(0, 3000, 60)) + "\n").encode()
FASTQ = "".join(f"@r{i}\n{SEQ[i:i+50]}\n+\n{'I' * 50}\n" for i in range(0, 2000, 7)).encode()
VCF = ("##fileformat=VCFv4.2\n##contig=<ID=suite1,length=3000>\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"d\">\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
       "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n" + "".join(f"suite1\t{p}\trs{p}\t{SEQ[p-1]}\t{'A' if SEQ[p-1] != 'A' else 'C'}\t50\tPASS\tDP={p % 40}\tGT\t0/1\n" for p in range(100, 2900, 10))).encode()
state = {}


def test_reference():
    s3.create_bucket(Bucket="om-in")
    s3.put_object(Bucket="om-in", Key="ref.fa", Body=FASTA)
    state["role"] = role("om-import", "omics.amazonaws.com")
    store = om.create_reference_store(name="suite")
    state["refs"] = store["id"]
    equal(om.get_reference_store(id=store["id"])["name"], "suite", "store")
    true(store["id"] in [s["id"] for s in om.list_reference_stores()["referenceStores"]], "listed")
    for n in range(2):
        s3.put_object(Bucket="om-in", Key=f"other{n}.fa", Body=f">other{n}\n{SEQ[n * 60:n * 60 + 60]}\n".encode())
    jobs = []
    for sources in ([("ref.fa", "suite-ref")], [("other0.fa", "other-0"), ("other1.fa", "other-1")]):
        jobs.append(om.start_reference_import_job(referenceStoreId=store["id"], roleArn=state["role"], sources=[{"sourceFile": f"s3://om-in/{key}", "name": name} for key, name in sources])["id"])
        waits(om, "reference_import_job_completed", referenceStoreId=store["id"], id=jobs[-1])
    job = om.get_reference_import_job(referenceStoreId=store["id"], id=jobs[1])
    equal((job["status"], [x["status"] for x in job["sources"]]), ("COMPLETED", ["FINISHED"] * 2), "import")
    equal(sorted(j["id"] for j in pages(om, "list_reference_import_jobs", "importJobs", 1, referenceStoreId=store["id"])), sorted(jobs), "jobs listed")
    refs = {r["name"]: r for r in pages(om, "list_references", "references", 2, referenceStoreId=store["id"])}
    equal(sorted(refs), ["other-0", "other-1", "suite-ref"], "references")
    ref = refs["suite-ref"]
    state["ref"], state["refid"], state["others"] = ref["arn"], ref["id"], [refs["other-0"]["id"], refs["other-1"]["id"]]
    meta = om.get_reference_metadata(referenceStoreId=store["id"], id=ref["id"])
    equal((meta["status"], meta["name"]), ("ACTIVE", "suite-ref"), "reference")
    body = om.get_reference(referenceStoreId=store["id"], id=ref["id"], partNumber=1)["payload"].read()
    equal(body, FASTA, "reference comes back")
    index = om.get_reference(referenceStoreId=store["id"], id=ref["id"], partNumber=1, file="INDEX")["payload"].read()
    equal(index.split(b"\t")[:2], [b"suite1", b"3000"], "index")
    fails("ResourceNotFoundException", om.get_reference_metadata, referenceStoreId=store["id"], id="9999999999", status=404)


def test_read_set_import():
    s3.put_object(Bucket="om-in", Key="r1.fastq.gz", Body=gzip.compress(FASTQ))
    s3.put_object(Bucket="om-in", Key="junk.fastq.gz", Body=gzip.compress(b"this is not FASTQ\n"))
    st = om.create_sequence_store(name="suite")
    state["seqs"] = st["id"]
    wait(lambda: om.get_sequence_store(id=st["id"])["status"], ["ACTIVE"], ["FAILED"])
    equal(om.update_sequence_store(id=st["id"], description="reads of the suite", fallbackLocation="s3://om-in/fallback/")["description"], "reads of the suite", "updated")
    equal((om.get_sequence_store(id=st["id"])["description"], om.get_sequence_store(id=st["id"])["fallbackLocation"]), ("reads of the suite", "s3://om-in/fallback/"), "updated")
    others = [om.create_sequence_store(name=f"other-{n}")["id"] for n in range(2)]
    equal(sorted(x["id"] for x in pages(om, "list_sequence_stores", "sequenceStores", 2)), sorted(others + [st["id"]]), "stores listed")
    for o in others:
        om.delete_sequence_store(id=o)
        fails("ResourceNotFoundException", om.get_sequence_store, id=o, status=404)
    source = lambda key, name: {"sourceFiles": {"source1": f"s3://om-in/{key}"}, "sourceFileType": "FASTQ", "subjectId": "subj", "sampleId": "samp", "name": name}
    job = om.start_read_set_import_job(sequenceStoreId=st["id"], roleArn=state["role"], sources=[source("r1.fastq.gz", "good"), source("junk.fastq.gz", "bad")])["id"]
    wait(lambda: om.get_read_set_import_job(sequenceStoreId=st["id"], id=job)["status"], ["COMPLETED_WITH_FAILURES"], ["FAILED", "COMPLETED"])
    done = om.get_read_set_import_job(sequenceStoreId=st["id"], id=job)
    items = {i["name"]: i for i in done["sources"]}
    equal((items["good"]["status"], items["bad"]["status"]), ("FINISHED", "FAILED"), "items")
    rid = items["good"]["readSetId"]
    meta = om.get_read_set_metadata(sequenceStoreId=st["id"], id=rid)
    equal((meta["status"], meta["fileType"], meta["etag"]["algorithm"]), ("ACTIVE", "FASTQ", "FASTQ_MD5up"), "metadata")
    equal(meta["etag"]["source1"], hashlib.md5(FASTQ).hexdigest(), "semantic ETag = MD5 of the uncompressed FASTQ")
    got = om.get_read_set(sequenceStoreId=st["id"], id=rid, partNumber=1)["payload"].read()
    equal(gzip.decompress(got), FASTQ, "reads come back")
    fails("RangeNotSatisfiableException", om.get_read_set, sequenceStoreId=st["id"], id=rid, partNumber=2, status=416)
    listed = om.list_read_sets(sequenceStoreId=st["id"], filter={"subjectId": "subj"})["readSets"]
    true(rid in [r["id"] for r in listed], "listed by subject")
    again = om.start_read_set_import_job(sequenceStoreId=st["id"], roleArn=state["role"], sources=[source("r1.fastq.gz", "second")])["id"]
    waits(om, "read_set_import_job_completed", sequenceStoreId=st["id"], id=again)
    equal(sorted(j["id"] for j in pages(om, "list_read_set_import_jobs", "importJobs", 1, sequenceStoreId=st["id"])), sorted([job, again]), "jobs listed")
    equal(sorted(r["name"] for r in pages(om, "list_read_sets", "readSets", 1, sequenceStoreId=st["id"], filter={"status": "ACTIVE"})), ["good", "second"], "read sets")
    om.tag_resource(resourceArn=meta["arn"], tags={"k": "v"})
    equal(om.list_tags_for_resource(resourceArn=meta["arn"])["tags"], {"k": "v"}, "tags")
    om.untag_resource(resourceArn=meta["arn"], tagKeys=["k"])
    equal(om.batch_delete_read_set(sequenceStoreId=st["id"], ids=[rid]).get("errors", []), [], "delete")


def test_upload():
    body = gzip.compress(FASTQ, mtime=0)
    up = om.create_multipart_read_set_upload(sequenceStoreId=state["seqs"], sourceFileType="FASTQ", subjectId="s", sampleId="t", name="up")["uploadId"]
    parts = [body[:1000], body[1000:]]
    done = []
    for n, p in enumerate(parts, 1):
        r = om.upload_read_set_part(sequenceStoreId=state["seqs"], uploadId=up, partSource="SOURCE1", partNumber=n, payload=p)
        equal(r["checksum"], base64.b64encode(hashlib.sha256(p).digest()).decode(), "part checksum")
        done.append({"partNumber": n, "partSource": "SOURCE1", "checksum": r["checksum"]})
    equal([p["partSize"] for p in pages(om, "list_read_set_upload_parts", "parts", 1, sequenceStoreId=state["seqs"], uploadId=up, partSource="SOURCE1")], [1000, len(body) - 1000], "parts")
    second = om.create_multipart_read_set_upload(sequenceStoreId=state["seqs"], sourceFileType="FASTQ", subjectId="s", sampleId="t", name="second")["uploadId"]
    equal({u["uploadId"] for u in pages(om, "list_multipart_read_set_uploads", "uploads", 1, sequenceStoreId=state["seqs"])}, {up, second}, "uploads listed")
    om.abort_multipart_read_set_upload(sequenceStoreId=state["seqs"], uploadId=second)
    rid = om.complete_multipart_read_set_upload(sequenceStoreId=state["seqs"], uploadId=up, parts=done)["readSetId"]
    wait(lambda: om.get_read_set_metadata(sequenceStoreId=state["seqs"], id=rid)["status"], ["ACTIVE"], ["UPLOAD_FAILED"])
    equal(om.get_read_set_metadata(sequenceStoreId=state["seqs"], id=rid)["etag"]["source1"], hashlib.md5(FASTQ).hexdigest(), "ETag")
    equal(om.list_multipart_read_set_uploads(sequenceStoreId=state["seqs"])["uploads"], [], "no upload is left")
    state["set"] = rid


def test_activation_and_export():
    """Also what samtools makes of an aligned read set that came back."""
    seqs = state["seqs"]
    jobs = [om.start_read_set_activation_job(sequenceStoreId=seqs, sources=[{"readSetId": state["set"]}])["id"] for _ in range(2)]
    for job in jobs:
        waits(om, "read_set_activation_job_completed", sequenceStoreId=seqs, id=job)
        done = om.get_read_set_activation_job(sequenceStoreId=seqs, id=job)
        equal((done["status"], [(x["readSetId"], x["status"]) for x in done["sources"]]), ("COMPLETED", [(state["set"], "FINISHED")]), "activation")
    equal(sorted(j["id"] for j in pages(om, "list_read_set_activation_jobs", "activationJobs", 1, sequenceStoreId=seqs)), sorted(jobs), "activations listed")
    s3.create_bucket(Bucket="om-out")
    jobs = []
    for prefix in ("one/", "two/"):
        jobs.append(om.start_read_set_export_job(sequenceStoreId=seqs, destination=f"s3://om-out/{prefix}", roleArn=state["role"], sources=[{"readSetId": state["set"]}])["id"])
        waits(om, "read_set_export_job_completed", sequenceStoreId=seqs, id=jobs[-1])
        done = om.get_read_set_export_job(sequenceStoreId=seqs, id=jobs[-1])
        equal((done["status"], [(x["id"], x["status"]) for x in done["readSets"]]), ("COMPLETED", [(state["set"], "FINISHED")]), "export")
    equal(sorted(j["id"] for j in pages(om, "list_read_set_export_jobs", "exportJobs", 1, sequenceStoreId=seqs)), sorted(jobs), "exports listed")
    found = [o["Key"] for o in s3.list_objects_v2(Bucket="om-out")["Contents"]]
    equal(len(found), 2, f"files in {found}")
    for key in found:
        equal(gzip.decompress(s3.get_object(Bucket="om-out", Key=key)["Body"].read()), FASTQ, key)


def run(*args, body=None):
    return subprocess.run(args, input=body, stdout=subprocess.PIPE, check=True).stdout


def test_samtools():
    if not shutil.which("samtools"):
        print("samtools is not installed", flush=True)
        return
    sam = "@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:suite1\tLN:3000\n@RG\tID:g\tSM:samp\n" + "".join(
        f"a{p}\t0\tsuite1\t{p + 1}\t60\t50M\t*\t0\t0\t{SEQ[p:p + 50]}\t{'I' * 50}\tRG:Z:g\n" for p in range(0, 2900, 10))
    with tempfile.TemporaryDirectory() as d:
        open(d + "/ref.fa", "wb").write(FASTA)
        bam = run("samtools", "view", "-b", "-o", "-", "-", body=sam.encode())
        cram = run("samtools", "view", "-C", "-T", d + "/ref.fa", "-o", "-", "-", body=sam.encode())
        s3.put_object(Bucket="om-in", Key="a.bam", Body=bam)
        s3.put_object(Bucket="om-in", Key="a.cram", Body=cram)
        source = lambda kind: {"sourceFiles": {"source1": f"s3://om-in/a.{kind.lower()}"}, "sourceFileType": kind, "subjectId": "subj", "sampleId": "samp", "name": kind, "referenceArn": state["ref"]}
        job = om.start_read_set_import_job(sequenceStoreId=state["seqs"], roleArn=state["role"], sources=[source("BAM"), source("CRAM")])["id"]
        waits(om, "read_set_import_job_completed", sequenceStoreId=state["seqs"], id=job)
        done = om.get_read_set_import_job(sequenceStoreId=state["seqs"], id=job)
        equal(done["status"], "COMPLETED", f"{[x.get('statusMessage') for x in done['sources']]}")
        for item in done["sources"]:
            kind, files = item["sourceFileType"], {}
            meta = om.get_read_set_metadata(sequenceStoreId=state["seqs"], id=item["readSetId"])
            for name, info in meta["files"].items():
                files[name] = b"".join(om.get_read_set(sequenceStoreId=state["seqs"], id=item["readSetId"], file=name.upper(), partNumber=n)["payload"].read() for n in range(1, info["totalParts"] + 1))
                equal(len(files[name]), info["contentLength"], f"{kind} {name}")
            path = f"{d}/back.{kind.lower()}"
            open(path, "wb").write(files["source1"])
            open(path + {"BAM": ".bai", "CRAM": ".crai"}[kind], "wb").write(files["index"])
            run("samtools", "quickcheck", path)
            whole = run("samtools", "view", "-h", "-T", d + "/ref.fa", path).decode()
            reads = lambda text: [line.split("\t")[:11] for line in text.splitlines() if not line.startswith("@")]
            equal(reads(whole), reads(sam), f"the alignments of the {kind}")
            equal(int(run("samtools", "view", "-c", "-T", d + "/ref.fa", path, "suite1:1001-1100")), 14, f"a region of the {kind}, found by the service's index")


def test_variants():
    s3.put_object(Bucket="om-in", Key="v.vcf.gz", Body=gzip.compress(VCF))
    s3.create_bucket(Bucket="athena-out")
    om.create_variant_store(name="suite_variants", reference={"referenceArn": state["ref"]})
    waits(om, "variant_store_created", name="suite_variants")
    equal(om.update_variant_store(name="suite_variants", description="of the suite")["description"], "of the suite", "updated")
    equal(om.get_variant_store(name="suite_variants")["reference"]["referenceArn"], state["ref"], "reference")
    start = lambda store: om.start_variant_import_job(destinationName=store, roleArn=state["role"], items=[{"source": "s3://om-in/v.vcf.gz"}])["jobId"]
    job = start("suite_variants")
    waits(om, "variant_import_job_created", jobId=job)
    wait(lambda: om.get_variant_import_job(jobId=job)["status"], ["COMPLETED"], ["FAILED", "COMPLETED_WITH_FAILURES"])
    for name in ("paged_b", "paged_a"):
        om.create_variant_store(name=name, reference={"referenceArn": state["ref"]})
        waits(om, "variant_store_created", name=name)
    equal(sorted(v["name"] for v in pages(om, "list_variant_stores", "variantStores", 1)), ["paged_a", "paged_b", "suite_variants"], "stores listed")
    jobs = [job]
    while True:  # a job may be over before it is cancelled
        true(len(jobs) < 20, "no job of twenty could be cancelled")
        jobs.append(start("paged_a"))
        try:
            om.cancel_variant_import_job(jobId=jobs[-1])
            equal(wait(lambda: om.get_variant_import_job(jobId=jobs[-1])["status"], ["CANCELLED", "COMPLETED"]), "CANCELLED", "cancelled")
            break
        except ClientError as e:
            equal(e.response["Error"]["Code"], "ValidationException", "too late to cancel")
            wait(lambda: om.get_variant_import_job(jobId=jobs[-1])["status"], ["COMPLETED"])
    equal(sorted(j["id"] for j in pages(om, "list_variant_import_jobs", "variantImportJobs", 1)), sorted(jobs), "jobs listed")
    dbs = [d["Name"] for d in pages(athena, "list_databases", "DatabaseList", 1, CatalogName="AwsDataCatalog")]
    db = next(d for d in dbs if d.startswith("variant_") and "suite" in d or d == f"variant_{ACCOUNT}_{om.get_variant_store(name='suite_variants')['id']}")
    equal(athena.get_database(CatalogName="AwsDataCatalog", DatabaseName=db)["Database"]["Name"], db, "database")
    table = athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=db)["TableMetadataList"][0]
    equal(athena.get_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=db, TableName=table["Name"])["TableMetadata"], table, "table")
    true({"sampleid", "contigname", "start", "end"} <= {c["Name"] for c in table["Columns"]}, "columns")
    q = athena.start_query_execution(QueryString=f'SELECT contigname, count(*) AS n, min(start) AS lo FROM "{table["Name"]}" GROUP BY contigname',
                                     QueryExecutionContext={"Database": db}, ResultConfiguration={"OutputLocation": "s3://athena-out/q/"})["QueryExecutionId"]
    wait(lambda: athena.get_query_execution(QueryExecutionId=q)["QueryExecution"]["Status"]["State"], ["SUCCEEDED"], ["FAILED", "CANCELLED"])
    rows = [[c.get("VarCharValue") for c in r["Data"]] for r in athena.get_query_results(QueryExecutionId=q)["ResultSet"]["Rows"]]
    equal(rows, [["contigname", "n", "lo"], ["suite1", "280", "99"]], "rows, 0-based start")
    csv = s3.get_object(Bucket="athena-out", Key=f"q/{q}.csv")["Body"].read().decode()
    true("suite1" in csv, "the result file")
    state["query"], state["db"], state["table"] = q, db, table["Name"]
    q = athena.start_query_execution(QueryString="SELECT * FROM read_csv('/etc/passwd')", QueryExecutionContext={"Database": db}, ResultConfiguration={"OutputLocation": "s3://athena-out/q/"})["QueryExecutionId"]
    wait(lambda: athena.get_query_execution(QueryExecutionId=q)["QueryExecution"]["Status"]["State"], ["FAILED"], ["SUCCEEDED"])
    state["failed"] = q


def test_queries():
    ask = lambda sql: athena.start_query_execution(QueryString=sql, QueryExecutionContext={"Database": state["db"], "Catalog": "AwsDataCatalog"}, ResultConfiguration={"OutputLocation": "s3://athena-out/q/"}, WorkGroup="primary")["QueryExecutionId"]
    of = lambda q: athena.get_query_execution(QueryExecutionId=q)["QueryExecution"]["Status"]["State"]
    q = ask(f'SELECT start FROM "{state["table"]}" ORDER BY start')
    wait(lambda: of(q), ["SUCCEEDED"], ["FAILED", "CANCELLED"])
    got = [r["Data"][0]["VarCharValue"] for page in athena.get_paginator("get_query_results").paginate(QueryExecutionId=q, PaginationConfig={"PageSize": 100}) for r in page["ResultSet"]["Rows"]]
    equal(got, ["start"] + [str(p - 1) for p in range(100, 2900, 10)], "rows over pages of 100")
    paged["Athena.GetQueryResults"] = True
    never = ask(f'SELECT count(*) FROM "{state["table"]}" a, "{state["table"]}" b, "{state["table"]}" c, "{state["table"]}" d WHERE a.start + b.start + c.start + d.start = 7')
    athena.stop_query_execution(QueryExecutionId=never)
    wait(lambda: of(never), ["CANCELLED"], ["SUCCEEDED", "FAILED"])
    listed = pages(athena, "list_query_executions", "QueryExecutionIds", 2, WorkGroup="primary")
    true({q, never, state["query"], state["failed"]} <= set(listed), "queries listed")
    batch = athena.batch_get_query_execution(QueryExecutionIds=[q, never, "00000000-0000-0000-0000-000000000000"])
    equal({x["QueryExecutionId"]: x["Status"]["State"] for x in batch["QueryExecutions"]}, {q: "SUCCEEDED", never: "CANCELLED"}, "batch")
    equal([x["QueryExecutionId"] for x in batch["UnprocessedQueryExecutionIds"]], ["00000000-0000-0000-0000-000000000000"], "not found")
    equal([c["CatalogName"] for c in athena.list_data_catalogs()["DataCatalogsSummary"]], ["AwsDataCatalog"], "catalogs")
    equal(athena.get_data_catalog(Name="AwsDataCatalog")["DataCatalog"]["Type"], "GLUE", "catalog")
    equal([w["Name"] for w in athena.list_work_groups()["WorkGroups"]], ["primary"], "work groups")
    equal(athena.get_work_group(WorkGroup="primary")["WorkGroup"]["State"], "ENABLED", "work group")


def test_athena_refusals():
    none, catalog = "00000000-0000-0000-0000-000000000000", dict(CatalogName="AwsDataCatalog")
    refuses(athena,
            ("batch_get_query_execution", dict(QueryExecutionIds=[]), "InvalidRequestException", 400),
            ("get_data_catalog", dict(Name="other"), "InvalidRequestException", 400),
            ("get_database", dict(catalog, DatabaseName="none"), "MetadataException", 400),
            ("get_query_execution", dict(QueryExecutionId=none), "InvalidRequestException", 400),
            ("get_query_results", dict(QueryExecutionId=state["failed"]), "InvalidRequestException", 400),
            ("get_table_metadata", dict(catalog, DatabaseName=state["db"], TableName="none"), "MetadataException", 400),
            ("get_work_group", dict(WorkGroup="none"), "InvalidRequestException", 400),
            ("list_data_catalogs", dict(MaxResults=51), "InvalidRequestException", 400),
            ("list_databases", dict(catalog, NextToken="no token of ours"), "InvalidRequestException", 400),
            ("list_query_executions", dict(WorkGroup="none"), "InvalidRequestException", 400),
            ("list_table_metadata", dict(catalog, DatabaseName="none"), "MetadataException", 400),
            ("list_work_groups", dict(MaxResults=51), "InvalidRequestException", 400),
            ("start_query_execution", dict(QueryString="SELECT 1"), "InvalidRequestException", 400),
            ("stop_query_execution", dict(QueryExecutionId=none), "InvalidRequestException", 400))


def test_omics_refusals():
    none, seqs, refs = "9999999999", dict(sequenceStoreId=state["seqs"]), dict(referenceStoreId=state["refs"])
    nowhere = f"arn:aws:omics:us-east-1:{ACCOUNT}:sequenceStore/{none}"
    upload = dict(seqs, uploadId=none)
    fastq = dict(sourceFileType="FASTQ", subjectId="s", sampleId="t", name="n")
    gone, invalid = "ResourceNotFoundException", "ValidationException"
    refuses(om,
            ("abort_multipart_read_set_upload", upload, gone, 404),
            ("batch_delete_read_set", dict(sequenceStoreId=none, ids=[none]), gone, 404),
            ("cancel_variant_import_job", dict(jobId="00000000-0000-0000-0000-000000000000"), gone, 404),
            ("complete_multipart_read_set_upload", dict(upload, parts=[{"partNumber": 1, "partSource": "SOURCE1", "checksum": "x"}]), gone, 404),
            ("create_multipart_read_set_upload", dict(fastq, sequenceStoreId=none), gone, 404),
            ("create_reference_store", dict(name="second"), "ServiceQuotaExceededException", 402),
            ("create_sequence_store", dict(name="x" * 128), invalid, 400),
            ("create_variant_store", dict(name="suite_variants", reference={"referenceArn": state["ref"]}), "ConflictException", 409),
            ("delete_reference", dict(refs, id=state["refid"]), "ConflictException", 409),
            ("delete_reference_store", dict(id=state["refs"]), "ConflictException", 409),
            ("delete_sequence_store", dict(id=state["seqs"]), "ConflictException", 409),
            ("delete_variant_store", dict(name="suite_variants"), "ConflictException", 409),
            ("get_read_set", dict(seqs, id=none, partNumber=1), gone, 404),
            ("get_read_set_activation_job", dict(seqs, id=none), gone, 404),
            ("get_read_set_export_job", dict(seqs, id=none), gone, 404),
            ("get_read_set_import_job", dict(seqs, id=none), gone, 404),
            ("get_read_set_metadata", dict(seqs, id=none), gone, 404),
            ("get_reference", dict(refs, id=state["refid"], partNumber=9), "RangeNotSatisfiableException", 416),
            ("get_reference_import_job", dict(refs, id=none), gone, 404),
            ("get_reference_store", dict(id="abc"), invalid, 400),
            ("get_sequence_store", dict(id=none), gone, 404),
            ("get_variant_import_job", dict(jobId="00000000-0000-0000-0000-000000000000"), gone, 404),
            ("get_variant_store", dict(name="none"), gone, 404),
            ("list_multipart_read_set_uploads", dict(sequenceStoreId=none), gone, 404),
            ("list_read_set_activation_jobs", dict(seqs, nextToken="no token of ours"), invalid, 400),
            ("list_read_set_export_jobs", dict(seqs, maxResults=101), invalid, 400),
            ("list_read_set_import_jobs", dict(seqs, nextToken="no token of ours"), invalid, 400),
            ("list_read_set_upload_parts", dict(upload, partSource="SOURCE1"), gone, 404),
            ("list_read_sets", dict(seqs, filter={"status": "ASLEEP"}), invalid, 400),
            ("list_reference_import_jobs", dict(refs, nextToken="no token of ours"), invalid, 400),
            ("list_reference_stores", dict(nextToken="no token of ours"), invalid, 400),
            ("list_references", dict(refs, maxResults=0), invalid, 400),
            ("list_sequence_stores", dict(nextToken="no token of ours"), invalid, 400),
            ("list_tags_for_resource", dict(resourceArn=nowhere), gone, 404),
            ("list_variant_import_jobs", dict(nextToken="no token of ours"), invalid, 400),
            ("list_variant_stores", dict(nextToken="no token of ours"), invalid, 400),
            ("start_read_set_activation_job", dict(seqs, sources=[{"readSetId": none}]), gone, 404),
            ("start_read_set_export_job", dict(seqs, destination="s3://om-out/", roleArn=state["role"], sources=[{"readSetId": none}]), gone, 404),
            ("start_read_set_import_job", dict(seqs, roleArn=state["role"], sources=[]), invalid, 400),
            ("start_reference_import_job", dict(refs, roleArn="no role", sources=[{"sourceFile": "s3://om-in/ref.fa", "name": "r"}]), invalid, 400),
            ("start_variant_import_job", dict(destinationName="none", roleArn=state["role"], items=[{"source": "s3://om-in/v.vcf.gz"}]), gone, 404),
            ("tag_resource", dict(resourceArn=nowhere, tags={"a": "b"}), gone, 404),
            ("untag_resource", dict(resourceArn=nowhere, tagKeys=["a"]), gone, 404),
            ("update_sequence_store", dict(id=none, name="x"), gone, 404),
            ("update_variant_store", dict(name="none", description="x"), gone, 404),
            ("upload_read_set_part", dict(upload, partSource="SOURCE1", partNumber=1, payload=b"x"), gone, 404))


def test_delete():
    om.delete_variant_store(name="paged_b")
    waits(om, "variant_store_deleted", name="paged_b")
    for name in ("paged_a", "suite_variants"):
        om.delete_variant_store(name=name, force=True)
        waits(om, "variant_store_deleted", name=name)
    fails("MetadataException", athena.get_database, CatalogName="AwsDataCatalog", DatabaseName=state["db"], status=400)
    sets = [r["id"] for r in om.list_read_sets(sequenceStoreId=state["seqs"])["readSets"]]
    equal(om.batch_delete_read_set(sequenceStoreId=state["seqs"], ids=sets + ["9999999999"])["errors"][0]["id"], "9999999999", "one is not there")
    wait(lambda: str(len(om.list_read_sets(sequenceStoreId=state["seqs"])["readSets"])), ["0"])
    om.delete_sequence_store(id=state["seqs"])
    for r in [state["refid"], *state["others"]]:
        om.delete_reference(referenceStoreId=state["refs"], id=r)
    wait(lambda: str(len(om.list_references(referenceStoreId=state["refs"])["references"])), ["0"])
    om.delete_reference_store(id=state["refs"])
    equal((om.list_sequence_stores()["sequenceStores"], om.list_reference_stores()["referenceStores"]), ([], []), "nothing is left")


main()
