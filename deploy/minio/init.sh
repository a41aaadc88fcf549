#!/bin/sh
# Makes the bucket and what may be done with it; run at each start, it changes nothing that is right.
#
# MC_HOST_minio     where MinIO is, with root's credentials (mc reads it by itself)
# BUCKET, APP_USER, APP_PASSWORD
set -eu
cd "$(dirname "$0")"

mc mb --ignore-existing "minio/$BUCKET"
mc anonymous set-json public-read.json "minio/$BUCKET"
mc ilm import "minio/$BUCKET" <lifecycle.json
mc admin policy create minio application application.json
mc admin user add minio "$APP_USER" "$APP_PASSWORD"
# Again is no error for mc of 2025 and later.
mc admin policy attach minio application --user "$APP_USER"
