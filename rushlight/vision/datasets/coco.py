"""MS COCO: images with a JSON file of objects or captions.

In: a folder of images and an annotation file as https://cocodataset.org/#format-data describes.
Out: a PIL image and the list of its annotations.  Source: T.-Y. Lin et al., "Microsoft COCO: Common
Objects in Context", https://arxiv.org/abs/1405.0312.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from rushlight.errors import FileFormatError
from rushlight.vision.datasets.folder import pil_loader
from rushlight.vision.datasets.vision import VisionDataset

__all__ = ["CocoAnnotations", "CocoCaptions", "CocoDetection"]


class CocoAnnotations:
    """The tables of an annotation file, with the look-ups of pycocotools' `COCO`.

    Args:
        path: the JSON file.

    Attributes:
        dataset: the file's content. imgs, anns, cats: id -> record. imgToAnns: image id -> its
        annotations. catToImgs: category id -> image ids.

    Raises:
        FileFormatError: the file is not JSON, or a record lacks its id.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                self.dataset: dict[str, Any] = json.load(file)
            images = self.dataset.get("images", [])
            annotations = self.dataset.get("annotations", [])
            self.imgs = {image["id"]: image for image in images}
            self.anns = {annotation["id"]: annotation for annotation in annotations}
            self.cats = {cat["id"]: cat for cat in self.dataset.get("categories", [])}
            self.imgToAnns: dict[Any, list[Any]] = defaultdict(list)
            self.catToImgs: dict[Any, list[Any]] = defaultdict(list)
            for annotation in annotations:
                self.imgToAnns[annotation["image_id"]].append(annotation)
                if "category_id" in annotation:
                    self.catToImgs[annotation["category_id"]].append(annotation["image_id"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(f"'{path}' is not a COCO annotation file: {error!r}") from error

    def getAnnIds(
        self,
        imgIds: Any = (),
        catIds: Any = (),
        areaRng: Any = (),
        iscrowd: bool | None = None,
    ) -> list[Any]:
        """Ids of the annotations of these images and categories (empty: all).

        Args:
            imgIds: image ids, or one. catIds: category ids, or one.
            areaRng: (least, greatest) area, both exclusive.
            iscrowd: only annotations with this flag.
        """
        images, categories = _ids(imgIds), set(_ids(catIds))
        found: Iterable[Any] = self.dataset.get("annotations", [])
        if images:
            found = [one for image in images for one in self.imgToAnns.get(image, [])]
        return [
            one["id"]
            for one in found
            if (not categories or one["category_id"] in categories)
            and (not areaRng or areaRng[0] < one["area"] < areaRng[1])
            and (iscrowd is None or one["iscrowd"] == iscrowd)
        ]

    def getCatIds(self, catNms: Any = (), supNms: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of the categories with these names, super-categories and ids (empty: all)."""
        names, supers, ids = set(_ids(catNms)), set(_ids(supNms)), set(_ids(catIds))
        return [
            key
            for key, category in self.cats.items()
            if (not names or category["name"] in names)
            and (not supers or category["supercategory"] in supers)
            and (not ids or key in ids)
        ]

    def getImgIds(self, imgIds: Any = (), catIds: Any = ()) -> list[Any]:
        """Ids of these images (empty: all) that show all of these categories."""
        found = set(_ids(imgIds)) or set(self.imgs)
        for category in _ids(catIds):
            found &= set(self.catToImgs.get(category, []))
        return list(found)

    def loadAnns(self, ids: Any = ()) -> list[Any]:
        """The annotations with these ids (or this id)."""
        return [self.anns[key] for key in _ids(ids)]

    def loadCats(self, ids: Any = ()) -> list[Any]:
        """The categories with these ids (or this id)."""
        return [self.cats[key] for key in _ids(ids)]

    def loadImgs(self, ids: Any = ()) -> list[Any]:
        """The image records with these ids (or this id)."""
        return [self.imgs[key] for key in _ids(ids)]


def _ids(ids: Any) -> list[Any]:
    """A list of ids, of one id or of several."""
    one = isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable)
    return [ids] if one else list(ids)


class CocoDetection(VisionDataset):
    """COCO images with their objects.

    Args:
        root: folder of the images.
        annFile: the JSON file of annotations.
        transform: function of the PIL image.
        target_transform: function of the list of annotations, dictionaries with `bbox`,
            `category_id`, `segmentation` and so on.
        transforms: function of both that returns both; excludes the other two.

    Attributes:
        coco: the tables, a `CocoAnnotations`. ids: the images' ids in order.

    Raises:
        FileFormatError: the annotation file or an image is damaged.
    """

    def __init__(
        self,
        root: str | Path,
        annFile: str | Path,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        transforms: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(root, transforms, transform, target_transform)
        self.coco = CocoAnnotations(annFile)
        self.ids = sorted(self.coco.imgs)

    def _load_image(self, id: int) -> Any:
        return pil_loader(os.path.join(self.root, self.coco.loadImgs(id)[0]["file_name"]))

    def _load_target(self, id: int) -> list[Any]:
        return self.coco.loadAnns(self.coco.getAnnIds(id))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, annotations) at `index`, transformed."""
        if not isinstance(index, int):
            raise ValueError(f"Index must be of type integer, got {type(index)} instead.")
        id = self.ids[index]
        image, target = self._load_image(id), self._load_target(id)
        if self.transforms is not None:
            image, target = self.transforms(image, target)
        return image, target

    def __len__(self) -> int:
        return len(self.ids)


class CocoCaptions(CocoDetection):
    """COCO images with their captions, a list of strings; arguments as in `CocoDetection`."""

    def _load_target(self, id: int) -> list[Any]:
        return [annotation["caption"] for annotation in super()._load_target(id)]
