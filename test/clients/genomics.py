"""boto3 against omics and athena."""
import base64
import gzip
import hashlib
import io
import json
import random

from galen import client, equal, fails, main, role, true, wait

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
    job = om.start_reference_import_job(referenceStoreId=store["id"], roleArn=state["role"], sources=[{"sourceFile": "s3://om-in/ref.fa", "name": "suite-ref"}])["id"]
    get = lambda: om.get_reference_import_job(referenceStoreId=store["id"], id=job)
    wait(lambda: get()["status"], ["COMPLETED"], ["FAILED", "COMPLETED_WITH_FAILURES"])
    true(job in [j["id"] for j in om.list_reference_import_jobs(referenceStoreId=store["id"])["importJobs"]], "job listed")
    ref = om.list_references(referenceStoreId=store["id"])["references"][0]
    state["ref"] = ref["arn"]
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
    source = lambda key, name: {"sourceFiles": {"source1": f"s3://om-in/{key}"}, "sourceFileType": "FASTQ", "subjectId": "subj", "sampleId": "samp", "name": name}
    job = om.start_read_set_import_job(sequenceStoreId=st["id"], roleArn=state["role"], sources=[source("r1.fastq.gz", "good"), source("junk.fastq.gz", "bad")])["id"]
    get = lambda: om.get_read_set_import_job(sequenceStoreId=st["id"], id=job)
    wait(lambda: get()["status"], ["COMPLETED_WITH_FAILURES"], ["FAILED", "COMPLETED"])
    items = {i["name"]: i for i in get()["sources"]}
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
    true(job in [j["id"] for j in om.list_read_set_import_jobs(sequenceStoreId=st["id"])["importJobs"]], "job listed")
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
    equal(len(om.list_read_set_upload_parts(sequenceStoreId=state["seqs"], uploadId=up, partSource="SOURCE1")["parts"]), 2, "parts")
    true(up in [u["uploadId"] for u in om.list_multipart_read_set_uploads(sequenceStoreId=state["seqs"])["uploads"]], "upload listed")
    rid = om.complete_multipart_read_set_upload(sequenceStoreId=state["seqs"], uploadId=up, parts=done)["readSetId"]
    wait(lambda: om.get_read_set_metadata(sequenceStoreId=state["seqs"], id=rid)["status"], ["ACTIVE"], ["UPLOAD_FAILED"])
    equal(om.get_read_set_metadata(sequenceStoreId=state["seqs"], id=rid)["etag"]["source1"], hashlib.md5(FASTQ).hexdigest(), "ETag")
    up = om.create_multipart_read_set_upload(sequenceStoreId=state["seqs"], sourceFileType="FASTQ", subjectId="s", sampleId="t", name="no")["uploadId"]
    om.abort_multipart_read_set_upload(sequenceStoreId=state["seqs"], uploadId=up)


def test_variants():
    s3.put_object(Bucket="om-in", Key="v.vcf.gz", Body=gzip.compress(VCF))
    s3.create_bucket(Bucket="athena-out")
    om.create_variant_store(name="suite_variants", reference={"referenceArn": state["ref"]})
    wait(lambda: om.get_variant_store(name="suite_variants")["status"], ["ACTIVE"], ["FAILED"])
    job = om.start_variant_import_job(destinationName="suite_variants", roleArn=state["role"], items=[{"source": "s3://om-in/v.vcf.gz"}])["jobId"]
    wait(lambda: om.get_variant_import_job(jobId=job)["status"], ["COMPLETED"], ["FAILED", "COMPLETED_WITH_FAILURES"])
    true("suite_variants" in [v["name"] for v in om.list_variant_stores()["variantStores"]], "store listed")
    true(job in [j["id"] for j in om.list_variant_import_jobs()["variantImportJobs"]], "job listed")
    dbs = [d["Name"] for d in athena.list_databases(CatalogName="AwsDataCatalog")["DatabaseList"]]
    db = next(d for d in dbs if d.startswith("variant_"))
    table = athena.list_table_metadata(CatalogName="AwsDataCatalog", DatabaseName=db)["TableMetadataList"][0]
    true({"sampleid", "contigname", "start", "end"} <= {c["Name"] for c in table["Columns"]}, "columns")
    q = athena.start_query_execution(QueryString=f'SELECT contigname, count(*) AS n, min(start) AS lo FROM "{table["Name"]}" GROUP BY contigname',
                                     QueryExecutionContext={"Database": db}, ResultConfiguration={"OutputLocation": "s3://athena-out/q/"})["QueryExecutionId"]
    wait(lambda: athena.get_query_execution(QueryExecutionId=q)["QueryExecution"]["Status"]["State"], ["SUCCEEDED"], ["FAILED", "CANCELLED"])
    rows = [[c.get("VarCharValue") for c in r["Data"]] for r in athena.get_query_results(QueryExecutionId=q)["ResultSet"]["Rows"]]
    equal(rows, [["contigname", "n", "lo"], ["suite1", "280", "99"]], "rows, 0-based start")
    csv = s3.get_object(Bucket="athena-out", Key=f"q/{q}.csv")["Body"].read().decode()
    true("suite1" in csv, "the result file")
    q = athena.start_query_execution(QueryString="SELECT * FROM read_csv('/etc/passwd')", QueryExecutionContext={"Database": db}, ResultConfiguration={"OutputLocation": "s3://athena-out/q/"})["QueryExecutionId"]
    wait(lambda: athena.get_query_execution(QueryExecutionId=q)["QueryExecution"]["Status"]["State"], ["FAILED"], ["SUCCEEDED"])


main()
