"""SummaryWriter: everything a training script logs for TensorBoard.

In: tags and data in any form the methods document. Out: event files in the log directory (see
``event_file``), one for the writer and one for every line of ``add_scalars``; files of the
embedding projector beside them. The API is that of torch.utils.tensorboard.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from rushlight.tensorboard import summary as _summary
from rushlight.tensorboard.arrays import make_np
from rushlight.tensorboard.embedding import (
    embedding_entry,
    write_matrix,
    write_metadata,
    write_sprite,
)
from rushlight.tensorboard.event_file import FileWriter
from rushlight.tensorboard.image import figure_to_image

__all__ = ["FileWriter", "SummaryWriter"]

_SESSION_START = 1


class SummaryWriter:
    """Logs scalars, images, histograms, graphs and more for TensorBoard.

    View them with ``tensorboard --logdir runs``. What is added is in the file at once, so that a
    killed process loses nothing.

    Args:
        log_dir: where to write. Default ``runs/<date>_<host><comment>``.
        comment: end of the default ``log_dir``'s name; not used with ``log_dir``.
        purge_step: TensorBoard hides what earlier files of ``log_dir`` hold from this step on,
            for a run that was resumed from there.
        max_queue: the most events that may wait to be written. Default 10.
        flush_secs: the longest that one may wait, in seconds. Default 120.
        filename_suffix: added to the names of the event files.

    Example:
        >>> import tempfile
        >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     for step in range(10):
        ...         writer.add_scalar("y=2x", 2 * step, step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        if not log_dir:
            import socket

            now = time.strftime("%b%d_%H-%M-%S")
            log_dir = os.path.join("runs", f"{now}_{socket.gethostname()}{comment}")
        self.log_dir = log_dir
        self.purge_step = purge_step
        self.max_queue = max_queue
        self.flush_secs = flush_secs
        self.filename_suffix = filename_suffix
        self.file_writer: FileWriter | None = None
        self.all_writers: dict[str, FileWriter] | None = None
        self.default_bins = _default_bins()
        self._embeddings: list[str] = []
        self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        """The writer's own file, opened anew if it was closed."""
        if self.file_writer is None or self.all_writers is None:
            self.file_writer = self._open(self.log_dir)
            self.all_writers = {self.file_writer.get_logdir(): self.file_writer}
            if self.purge_step is not None:
                step = self.purge_step
                self.file_writer.add_event({"step": step, "file_version": "brain.Event:2"})
                self.file_writer.add_event(
                    {"step": step, "session_log": {"status": _SESSION_START}}
                )
                self.purge_step = None
        return self.file_writer

    def _open(self, log_dir: str | os.PathLike[str]) -> FileWriter:
        return FileWriter(log_dir, self.max_queue, self.flush_secs, self.filename_suffix)

    def get_logdir(self) -> str | os.PathLike[str]:
        """The directory of the event files."""
        return self.log_dir

    def add_hparams(
        self,
        hparam_dict: dict[str, Any],
        metric_dict: dict[str, Any],
        hparam_domain_discrete: dict[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Enter a run in the table that compares hyper-parameters.

        Args:
            hparam_dict: hyper-parameters by name: bool, str, float, int, tensor or None.
            metric_dict: what was reached, by name; the names should be used nowhere else.
            hparam_domain_discrete: all values a hyper-parameter can have, by name.
            run_name: the run's directory below ``log_dir``. Default: the current time.
            global_step: the step of the metrics.

        Raises:
            TypeError: an argument is no dict.
            ValueError: a hyper-parameter's type is not supported.

        Example:
            >>> import tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_hparams({"lr": 0.1, "batch": 64}, {"hparam/accuracy": 0.9})
        """
        if type(hparam_dict) is not dict or type(metric_dict) is not dict:
            raise TypeError("hparam_dict and metric_dict should be dictionary.")
        summaries = _summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        log_dir = self._get_file_writer().get_logdir()
        with SummaryWriter(os.path.join(log_dir, run_name or str(time.time()))) as run:
            for summary in summaries:
                run._get_file_writer().add_summary(summary, global_step)
            for name, value in metric_dict.items():
                run.add_scalar(name, value, global_step)

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: Any = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
    ) -> None:
        """Add one number to a curve.

        Args:
            tag: the curve's name; a slash makes a group ("loss/train").
            scalar_value: a number, or a tensor or array with one element.
            global_step: where on the x axis.
            walltime: seconds since the epoch. Default: now.
            new_style: write the tensor field, which TensorBoard loads faster.
            double_precision: with ``new_style``, keep float64.

        Raises:
            AssertionError: there is more than one element.

        Example:
            >>> import tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_scalar("loss/train", 0.25, 1)
        """
        summary = _summary.scalar(
            tag, scalar_value, new_style=new_style, double_precision=double_precision
        )
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add numbers to several curves of one chart.

        Every curve is a run of its own: a directory ``<log_dir>/<main_tag>_<name>``.

        Args:
            main_tag: the chart's name.
            tag_scalar_dict: numbers by the curve's name.
            global_step, walltime: as for ``add_scalar``.

        Example:
            >>> import tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_scalars("loss", {"train": 0.2, "val": 0.3}, 1)
        """
        walltime = time.time() if walltime is None else walltime
        log_dir = self._get_file_writer().get_logdir()
        assert self.all_writers is not None  # _get_file_writer has made it
        for name, value in tag_scalar_dict.items():
            summary = _summary.scalar(main_tag, value)
            directory = f"{log_dir}/{main_tag.replace('/', '_')}_{name}"
            if directory not in self.all_writers:
                self.all_writers[directory] = self._open(directory)
            self.all_writers[directory].add_summary(summary, global_step, walltime)

    def add_tensor(
        self, tag: str, tensor: Any, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add a whole tensor.

        Args:
            tag: its name.
            tensor: any shape; float16, bfloat16, float32/64, int8-64, uint8, bool or complex.
            global_step, walltime: as for ``add_scalar``.

        Raises:
            ValueError: the dtype is not supported, or the tensor is too large.
        """
        self._get_file_writer().add_summary(
            _summary.tensor_proto(tag, tensor), global_step, walltime
        )

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: Any = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Add the distribution of a tensor's elements.

        Args:
            tag: its name.
            values: a tensor or array of any shape.
            global_step, walltime: as for ``add_scalar``.
            bins: 'tensorflow' (edges that grow by 10 %), a rule of ``numpy.histogram_bin_edges``
                ('auto', 'fd', ...), a number, or edges.
            max_bins: join neighbouring bins until about so many are left.

        Raises:
            ValueError: there is no element.

        Example:
            >>> import numpy as np, tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_histogram("weights", np.arange(10.0), 0)
        """
        if isinstance(bins, str) and bins == "tensorflow":
            bins = self.default_bins
        summary = _summary.histogram(tag, values, bins, max_bins=max_bins)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Any,
        bucket_counts: Any,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add a histogram whose statistics and buckets are given.

        Args:
            tag: its name.
            min, max, num, sum, sum_squares: statistics of the values.
            bucket_limits: the upper limit of every bucket.
            bucket_counts: how many values lie in it.
            global_step, walltime: as for ``add_scalar``.

        Raises:
            ValueError: there are not as many limits as counts.
        """
        if len(bucket_limits) != len(bucket_counts):
            raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
        summary = _summary.histogram_raw(
            tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts
        )
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Add an image.

        Args:
            tag: its name.
            img_tensor: a tensor or array: uint8 in [0, 255], or another dtype in [0, 1].
                Shape (3, H, W) unless ``dataformats`` says otherwise; pictures read with Pillow
                or OpenCV are HWC.
            global_step, walltime: as for ``add_scalar``.
            dataformats: a letter a dimension: CHW, HWC, HW, ...

        Raises:
            TypeError: the image has a number of channels that PNG lacks.
            AssertionError: ``dataformats`` does not fit the shape.

        Example:
            >>> import numpy as np, tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_image("black", np.zeros((32, 32, 3)), 0, dataformats="HWC")
        """
        summary = _summary.image(tag, img_tensor, dataformats=dataformats)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Add a batch of images as one grid of eight columns.

        Args:
            tag: its name.
            img_tensor: (N, 3, H, W) or (N, 1, H, W) unless ``dataformats`` says otherwise.
            global_step, walltime: as for ``add_scalar``.
            dataformats: a letter a dimension: NCHW, NHWC, ...

        Raises:
            AssertionError: ``dataformats`` does not fit the shape.

        Example:
            >>> import numpy as np, tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_images("batch", np.zeros((16, 3, 8, 8)), 0)
        """
        summary = _summary.image(tag, img_tensor, dataformats=dataformats)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: Any = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: str | Sequence[str] | None = None,
    ) -> None:
        """Add an image with red boxes on it.

        Args:
            tag: its name.
            img_tensor, dataformats: as for ``add_image``.
            box_tensor: (boxes, 4): left, top, right, bottom, in pixels.
            global_step, walltime: as for ``add_scalar``.
            rescale: factor for both sides of the stored image.
            labels: a text for every box; left out where their number does not fit.
        """
        if isinstance(labels, str):
            labels = [labels]
        if labels is not None and len(labels) != box_tensor.shape[0]:
            labels = None
        summary = _summary.image_boxes(
            tag, img_tensor, box_tensor, rescale=rescale, dataformats=dataformats, labels=labels
        )
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: Any = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Add a matplotlib figure as an image.

        Args:
            tag: its name.
            figure: a figure, or a list of figures of one size.
            global_step, walltime: as for ``add_scalar``.
            close: close the figure afterwards.
        """
        dataformats = "NCHW" if isinstance(figure, list) else "CHW"
        pixels = figure_to_image(figure, close)
        self.add_image(tag, pixels, global_step, walltime, dataformats=dataformats)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: Any = None,
        fps: float = 4,
        walltime: float | None = None,
    ) -> None:
        """Add a batch of videos, side by side in one GIF.

        Args:
            tag: its name.
            vid_tensor: (N, T, C, H, W): uint8 in [0, 255], or another dtype in [0, 1].
            global_step, walltime: as for ``add_scalar``.
            fps: frames a second.
        """
        self._get_file_writer().add_summary(
            _summary.video(tag, vid_tensor, fps), global_step, walltime
        )

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: Any = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Add a sound.

        Args:
            tag: its name.
            snd_tensor: (1, samples) or (samples,), values in [-1, 1].
            global_step, walltime: as for ``add_scalar``.
            sample_rate: samples a second.

        Raises:
            AssertionError: there is more than one channel.
        """
        summary = _summary.audio(tag, snd_tensor, sample_rate=sample_rate)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Add a text; Markdown is rendered.

        Args:
            tag: its name.
            text_string: the text.
            global_step, walltime: as for ``add_scalar``.

        Example:
            >>> import tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_text("lstm", "This is an **lstm**", 0)
        """
        self._get_file_writer().add_summary(_summary.text(tag, text_string), global_step, walltime)

    def add_onnx_graph(self, prototxt: str | os.PathLike[str]) -> None:
        """Add the graph of an ONNX file.

        Args:
            prototxt: the path of the .onnx file.

        Raises:
            FileFormatError: the file is no ONNX model.
        """
        from rushlight.tensorboard.onnx_graph import load_onnx_graph

        self._get_file_writer().add_onnx_graph(load_onnx_graph(prototxt))

    def add_graph(
        self,
        model: Any,
        input_to_model: Any = None,
        verbose: bool = False,
        use_strict_trace: bool = True,
    ) -> None:
        """Add a model's graph: its operators, grouped by module, with shapes on the edges.

        The model runs once, in evaluation mode and without gradients.

        Args:
            model: an ``nn.Module``.
            input_to_model: its input, or a tuple of inputs.
            verbose: print the graph.
            use_strict_trace: accepted for PyTorch's sake; containers are recorded either way.
        """
        from rushlight.tensorboard.graph import graph

        self._get_file_writer().add_graph(graph(model, input_to_model, verbose, use_strict_trace))

    @staticmethod
    def _encode(rawstr: str) -> str:
        """A tag as a file name: the characters %, / and \\ in hexadecimal."""
        for letter in "%/\\":
            rawstr = rawstr.replace(letter, f"%{ord(letter):02x}")
        return rawstr

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Add points for the embedding projector.

        Args:
            mat: (points, features).
            metadata: a label a point, or a row of labels a point with ``metadata_header``.
            label_img: (points, C, H, W): a thumbnail a point.
            global_step: as for ``add_scalar``.
            tag: the embedding's name.
            metadata_header: the names of the labels' columns.

        Raises:
            AssertionError: the number of labels or images is not that of the points, or ``mat``
                is no matrix.
            NotADirectoryError: a file stands where the embedding's directory must be.

        Example:
            >>> import numpy as np, tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_embedding(np.eye(3), metadata=["a", "b", "c"])
        """
        mat = make_np(mat)
        step = 0 if global_step is None else global_step
        log_dir = self._get_file_writer().get_logdir()
        subdir = f"{str(step).zfill(5)}/{self._encode(tag)}"
        path = os.path.join(log_dir, subdir)
        if os.path.isdir(path):
            print("warning: Embedding dir exists, did you set global_step for add_embedding()?")
        elif os.path.exists(path):
            raise NotADirectoryError(f"Path: `{path}` exists, but is a file. Cannot proceed.")
        if metadata is not None and mat.shape[0] != len(metadata):
            raise AssertionError("#labels should equal with #data points")
        if label_img is not None and mat.shape[0] != label_img.shape[0]:
            raise AssertionError("#images should equal with #data points")
        if mat.ndim != 2:
            raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
        os.makedirs(path, exist_ok=True)
        if metadata is not None:
            write_metadata(metadata, path, metadata_header=metadata_header)
        if label_img is not None:
            write_sprite(label_img, path)
        write_matrix(mat, path)
        self._embeddings.append(embedding_entry(metadata, label_img, subdir, step, tag))
        with open(os.path.join(log_dir, "projector_config.pbtxt"), "wb") as file:
            file.write("".join(self._embeddings).encode())

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add the precision-recall curve of a binary classifier.

        Args:
            tag: its name.
            labels: 0 or 1 (or bool) for every sample.
            predictions: the probability of 1 for every sample.
            global_step, walltime: as for ``add_scalar``.
            num_thresholds: points on the curve, at most 127.
            weights: a factor for every sample.

        Example:
            >>> import numpy as np, tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_pr_curve("pr", np.array([0, 1]), np.array([0.2, 0.9]), 0)
        """
        summary = _summary.pr_curve(
            tag,
            make_np(labels),
            make_np(predictions),
            num_thresholds,
            None if weights is None else make_np(weights),
        )
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: Any = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add a precision-recall curve whose points are given.

        Args:
            tag: its name.
            true_positive_counts, false_positive_counts, true_negative_counts,
                false_negative_counts: counts at every threshold.
            precision, recall: at every threshold.
            global_step, walltime: as for ``add_scalar``.
            num_thresholds: points on the curve, at most 127.
            weights: not used; it is there because PyTorch has it.
        """
        summary = _summary.pr_curve_raw(
            tag,
            true_positive_counts,
            false_positive_counts,
            true_negative_counts,
            false_negative_counts,
            precision,
            recall,
            num_thresholds,
            weights,
        )
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show several scalars in one chart: ``add_custom_scalars`` for the simplest case.

        Args:
            tags: tags used with ``add_scalar``.
            category: the chart's group.
            title: its title.
        """
        layout = {category: {title: ["Multiline", tags]}}
        self._get_file_writer().add_summary(_summary.custom_scalars(layout))

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Show a scalar between its lower and its upper bound.

        Args:
            tags: the tags of the value, the lower and the upper bound.
            category: the chart's group.
            title: its title.

        Raises:
            AssertionError: there are not three tags.
        """
        if len(tags) != 3:
            raise AssertionError(f"Expected 3 tags, got {len(tags)}.")
        layout = {category: {title: ["Margin", tags]}}
        self._get_file_writer().add_summary(_summary.custom_scalars(layout))

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """Arrange charts on the custom scalars page; once a writer is enough.

        Args:
            layout: {category: {title: ['Multiline', tags] or ['Margin', [value, lower, upper]]}}.

        Example:
            >>> import tempfile
            >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
            ...     writer.add_custom_scalars({"loss": {"both": ["Multiline", ["a", "b"]]}})
        """
        self._get_file_writer().add_summary(_summary.custom_scalars(layout))

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Mapping[str, Any] | None = None,
        global_step: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Add a 3-D mesh or a point cloud.

        Args:
            tag: its name.
            vertices: (batch, vertices, 3): coordinates.
            colors: (batch, vertices, 3): RGB in [0, 255].
            faces: (batch, faces, 3): indices of vertices.
            config_dict: settings of ThreeJS classes.
            global_step, walltime: as for ``add_scalar``.

        Raises:
            ValueError: a tensor has not three dimensions.
        """
        summary = _summary.mesh(tag, vertices, colors, faces, config_dict)
        self._get_file_writer().add_summary(summary, global_step, walltime)

    def flush(self) -> None:
        """See to it that everything added so far is in the files."""
        for writer in (self.all_writers or {}).values():
            writer.flush()

    def close(self) -> None:
        """Close the files. A later ``add_...`` goes on in a new file."""
        for writer in (self.all_writers or {}).values():
            writer.close()
        self.file_writer = self.all_writers = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()


def _default_bins() -> list[float]:
    """The 'tensorflow' bin edges: 0, and from 1e-12 to 1e20 both ways by steps of 10 %."""
    positive = []
    edge = 1e-12
    while edge < 1e20:
        positive.append(edge)
        edge *= 1.1
    return [-edge for edge in reversed(positive)] + [0.0] + positive
