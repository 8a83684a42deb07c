#!/bin/sh
# Pack the environment that conf/emr/steps.json names, and put it with the jobs into a bucket:
#   sh conf/emr/pack_environment.sh s3://BUCKET/drq_spark [PYTHON]
# Run it from the checkout on a node of the cluster, or on its image: the packed environment points to the Python of the
# machine that it was made on, which must lie at the same path on every node.
set -eu

bucket=${1:?usage: pack_environment.sh s3://BUCKET/drq_spark [PYTHON]}
python=${2:-python3}
environment=build/emr

"$python" -m venv --clear "$environment"
# torch without CUDA, of which no node has any use, takes a fifth of the room
"$environment/bin/pip" install --quiet --extra-index-url https://download.pytorch.org/whl/cpu ".[report,train,executors]" venv-pack
"$environment/bin/venv-pack" --force --prefix "$environment" --output build/environment.tar.gz

aws s3 cp build/environment.tar.gz "$bucket/environment.tar.gz"
aws s3 cp conf/prod.yaml "$bucket/prod.yaml"
aws s3 cp --recursive --exclude "*" --include "*.py" jobs "$bucket"
