#!/bin/sh
# Creates the bucket, its policies and the application's user. Safe to run again.
#
# The bucket's lifecycle rules become those of lifecycle.json at each run, so add your own rules there.
#
# MC_HOST_minio     MinIO's URL with root's credentials, which mc reads
# BUCKET, APP_USER, APP_PASSWORD
set -eu
cd "$(dirname "$0")"

mc mb --ignore-existing "minio/$BUCKET"
mc anonymous set-json public-read.json "minio/$BUCKET"
mc ilm import "minio/$BUCKET" <lifecycle.json
mc admin policy create minio application application.json
# On standard input, as all users of the machine can read command lines.
printf '%s\n' "$APP_USER" "$APP_PASSWORD" | mc admin user add minio
# Attaching it again is no error with mc of 2025 and later.
mc admin policy attach minio application --user "$APP_USER"
