"""Make small images of every kind, and what transformers and open_clip make of them.

    .venv/bin/python scripts/make_preprocessing_fixtures.py

`crates/umid-models/tests/fixtures/preprocessing/` holds the images, `cases.json` with a
list of cases, and `expected.safetensors` with one tensor per case and image,
`CASE/FILE` (3, S, S) F32: the pixels, normalised. A case has the `layout` whose
package made them, the configuration's keys (`config`: a `preprocessor_config.json`, or a
`preprocess_cfg`) and the images.

transformers is given an image as `load_image` opens a path, so that it is upright;
open_clip is given what Pillow opens. JPEG files are compared with more tolerance than
others, since decoders round differently.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from transformers.image_utils import load_image
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from clip_reference import CLIP_MEAN, CLIP_STD, FIXTURES

SIDE = 14
ORIENTATION = 0x0112
PROCESSORS = {
    "CLIPImageProcessor": CLIPImageProcessorPil,
    "CLIPFeatureExtractor": CLIPImageProcessorPil,
    "BitImageProcessor": BitImageProcessorPil,
    "SiglipImageProcessor": SiglipImageProcessorPil,
    "ViTImageProcessor": ViTImageProcessorPil,
}


def picture(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """Waves, an edge and noise, in 0..255."""
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    phases = rng.uniform(0, 6, channels)
    waves = 127 + 90 * np.sin(7 * (x + 0.4 * y)[..., None] + phases)
    waves[height // 3 :, width // 2 :] = 255 - waves[height // 3 :, width // 2 :]
    return np.clip(waves + rng.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)


def make_images(directory: Path) -> None:
    rng = np.random.default_rng(5)
    colours = Image.fromarray(picture(rng, 31, 22, 3))
    grey = Image.fromarray(picture(rng, 25, 40, 1)[..., 0])
    clear = picture(rng, 29, 23, 4)
    clear[:8, :8, 3] = 0
    clear[20:, :, 3] = 255
    colours.save(directory / "colours.png")
    Image.fromarray(picture(rng, 9, 6, 3)).save(directory / "small.png")
    grey.save(directory / "grey.png")
    grey.convert("1").save(directory / "bits.png")
    grey.convert("1").save(directory / "bits.bmp")
    Image.fromarray(clear).save(directory / "clear.png")
    Image.fromarray(clear).convert("LA").save(directory / "clear_grey.png")
    palette = colours.quantize(8, dither=Image.Dither.NONE)
    palette.save(directory / "palette.png")
    palette.save(directory / "palette_with_clear.png", transparency=2)
    palette.save(directory / "palette.gif")
    palette.save(directory / "palette.bmp")
    grey.save(directory / "grey.gif")
    grey.save(directory / "grey.bmp")
    keyed = colours.copy()
    keyed.paste((7, 8, 9), (3, 4, 12, 20))
    keyed.save(directory / "key.png", transparency=(7, 8, 9))
    for turn in (3, 6):
        exif = Image.Exif()
        exif[ORIENTATION] = turn
        colours.save(directory / f"turned{turn}.png", exif=exif)
        smooth = colours.resize((44, 62), Image.Resampling.BICUBIC)
        smooth.save(directory / f"turned{turn}.jpg", exif=exif, quality=98, subsampling=0)


ALL = [
    "bits.bmp",
    "bits.png",
    "clear.png",
    "clear_grey.png",
    "colours.png",
    "grey.bmp",
    "grey.gif",
    "grey.png",
    "key.png",
    "palette.bmp",
    "palette.gif",
    "palette.png",
    "palette_with_clear.png",
    "small.png",
    "turned3.jpg",
    "turned6.jpg",
    "turned6.png",
]
SOME = ["bits.png", "clear.png", "key.png", "palette.gif", "small.png", "turned6.png"]
FEW = ["clear.png", "colours.png", "palette.png", "small.png"]
CLIP = {"image_processor_type": "CLIPImageProcessor", "image_mean": CLIP_MEAN, "image_std": CLIP_STD}
SQUARE = {"height": SIDE, "width": SIDE}
CENTRE = {"size": {"shortest_edge": SIDE}, "crop_size": SQUARE}


def open_clip_cases() -> dict[str, tuple[dict[str, Any], list[str]]]:
    return {
        "open-clip-shortest": ({"resize_mode": "shortest"}, ALL),
        "open-clip-squash": ({"resize_mode": "squash", "interpolation": "bicubic"}, SOME),
        "open-clip-bilinear": (
            {"interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.25, 0.5, 0.75]},
            FEW,
        ),
        "open-clip-longest": ({"resize_mode": "longest"}, ["clear.png", "colours.png", "grey.png"]),
        "open-clip-filled": (
            {"resize_mode": "longest", "fill_color": 127, "interpolation": "random"},
            ["clear.png", "colours.png", "grey.png", "small.png"],
        ),
    }


def transformers_cases() -> dict[str, tuple[dict[str, Any], list[str]]]:
    siglip = {"image_processor_type": "SiglipImageProcessor"}
    return {
        "clip": ({**CLIP, **CENTRE}, ALL),
        "clip-larger": ({**CLIP, **CENTRE, "size": {"shortest_edge": 19}}, FEW),
        "clip-plain-numbers": (
            {
                **CLIP,
                "image_processor_type": None,
                "feature_extractor_type": "CLIPFeatureExtractor",
                "size": SIDE,
                "crop_size": SQUARE,
                "resample": 2,
            },
            FEW,
        ),
        "clip-exact": ({**CLIP, "size": SQUARE, "do_center_crop": False}, FEW),
        "clip-square": ({**CLIP, "use_square_size": True, "crop_size": SQUARE}, ["colours.png"]),
        "clip-rescaled": ({**CLIP, **CENTRE, "rescale_factor": 0.0078}, ["colours.png"]),
        "clip-levels": ({**CLIP, **CENTRE, "do_rescale": False}, ["colours.png"]),
        "clip-not-normalised": ({**CLIP, **CENTRE, "do_normalize": False}, ["colours.png"]),
        "clip-not-resized": ({**CLIP, **CENTRE, "do_resize": False}, FEW),
        "bit": ({"image_processor_type": "BitImageProcessor", **CENTRE}, ["colours.png"]),
        "siglip": ({**siglip, "size": SQUARE, "do_convert_rgb": None}, SOME),
        "siglip-bilinear": ({**siglip, "size": SQUARE, "resample": 2}, FEW),
        "vit": ({"image_processor_type": "ViTImageProcessor", "size": SQUARE}, ["colours.png"]),
    }


def main() -> None:
    out = FIXTURES / "preprocessing"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    make_images(out)
    cases, tensors = [], {}
    for name, (config, files) in open_clip_cases().items():
        transform = image_transform_v2(PreprocessCfg(size=SIDE, **config), is_train=False)
        for file in files:
            tensors[f"{name}/{file}"] = transform(Image.open(out / file))
        cases.append({"name": name, "layout": "open-clip", "config": config, "images": files})
    for name, (config, files) in transformers_cases().items():
        given = {key: value for key, value in config.items() if value is not None}
        kind = given.get("image_processor_type") or given["feature_extractor_type"]
        processor = PROCESSORS[kind](**given)
        for file in files:
            image = load_image_with_alpha(out / file)
            pixels = processor(image, return_tensors="pt").pixel_values[0]
            tensors[f"{name}/{file}"] = pixels.float()
        cases.append({"name": name, "layout": "hugging-face", "config": config, "images": files})
    save_file({k: v.contiguous() for k, v in tensors.items()}, out / "expected.safetensors")
    text = json.dumps({"side": SIDE, "cases": cases}, indent=1) + "\n"
    (out / "cases.json").write_text(text, encoding="utf-8")
    size = sum(file.stat().st_size for file in out.iterdir())
    print(f"preprocessing: {size / 1024:.0f} KiB")


def load_image_with_alpha(path: Path) -> Image.Image:
    """Upright, as `load_image` does it, and with alpha, which the processor lays over white."""
    image = Image.open(path)
    upright = load_image(str(path))
    if "A" in image.getbands() or "transparency" in image.info:
        return image
    return upright


if __name__ == "__main__":
    main()
