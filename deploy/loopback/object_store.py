"""An object store in place of MinIO: moto's in-memory S3 server, with the setup of minio-init.

It verifies upload forms and bucket policies, but not signatures and their expiry: test those with a real MinIO.

    python -m deploy.loopback.object_store PORT BUCKET POLICY_FILE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import boto3


def main(port: int, bucket: str, policy: Path) -> None:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="root",
        aws_secret_access_key="root",  # noqa: S106 - moto does not verify it
    )
    client.create_bucket(Bucket=bucket)
    client.put_bucket_policy(Bucket=bucket, Policy=policy.read_text())
    print("ready", flush=True)  # noqa: T201
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
