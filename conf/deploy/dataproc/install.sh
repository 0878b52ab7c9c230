#!/usr/bin/env bash
# On every machine of a cluster, as it is made: the wheel and what it needs, into the Python that Spark uses there.
set -euo pipefail
package=gs://my-project-scorelake-package
folder=$(mktemp -d)
gcloud storage cp "$package/scorelake-*.whl" "$folder/"
pip=(/opt/conda/default/bin/python -m pip install --no-cache-dir)
"${pip[@]}" "$folder"/scorelake-*.whl google-cloud-storage
"${pip[@]}" --no-deps delta-spark==4.2.0 # Spark and Delta's jars are the image's
