#!/usr/bin/env bash
# Audits one small checkpoint of each family and container, from the command line to the report.
#
#     scripts/make_registry.py DIR
#     cargo build --release -p umid
#     scripts/audit_registry.sh DIR OUT [CASE...]
#
# DIR is where make_registry.py wrote its cases. Prints a line per case: seconds, exit code, and the
# last line of what was said where the code is not 0 or report.html is missing. Ends with code 1 if
# there is such a case. The weights are random, so that the verdicts mean nothing. UMID is the
# program [default: target/release/umid].
set -uo pipefail

cases=$1
out=$2
shift 2
umid=${UMID:-target/release/umid}
families=(ViT-B-32 RN50 coca_ViT-B-32 ViT-L-14-CLIPA ViT-H-14-378 ViT-H-14-worldwide ViT-M-16-alt
  ViT-B-16-SigLIP ViT-B-16-SigLIP2 EVA01-g-14 EVA02-B-16 PE-Core-B-16 vit_medium_patch16_gap_256
  convnext_tiny swin_base_patch4_window7_224 MobileCLIP-B MobileCLIP2-S0 ViTamin-S
  roberta-ViT-B-32 xlm-roberta-base-ViT-B-32 mt5-base-ViT-B-32 nllb-clip-base)
if [ $# -eq 0 ]; then
  set -- "${families[@]}" $(cd "$cases" && ls -d hf-* container-* file-*)
fi

mkdir -p "$out"
printf '%s\n' 'Maria Kowalski' 'John Smith' 'Ada Lovelace' 'Zoë Müller' 'Cher' > "$out/names.txt"
failed=0
for case in "$@"; do
  model=$cases/$case
  cache=
  case $case in
    file-*) model=$(ls -d "$model"/*.p*) ;;
    container-stable-diffusion) model=$model/text_encoder ;;
    container-*hub-cache*) cache=$model model=some-org/some-clip ;;
  esac
  rm -rf "${out:?}/$case"
  begun=$SECONDS
  HF_HUB_CACHE=${cache:-/nonexistent} "$umid" audit --model "$model" --queries "$out/names.txt" \
    --out "$out/$case" --template 'a photo of {}' --reference gibberish:20 --reference names:40 \
    --restarts 2 --steps 2 --previews 2 --no-cache --quiet > "$out/said" 2>&1
  code=$?
  said=
  if [ $code -ne 0 ] || [ ! -s "$out/$case/report.html" ]; then
    failed=1
    said=$(tail -n 1 "$out/said")
  fi
  printf '%-50s %3d s  exit %d  %s\n' "$case" $((SECONDS - begun)) $code "$said"
done
exit $failed
