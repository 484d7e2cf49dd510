"""Image models with torchvision's names, parameters and pre-trained weights."""

from rushlight.vision.models._api import (
    Weights as Weights,
)
from rushlight.vision.models._api import (
    WeightsEnum as WeightsEnum,
)
from rushlight.vision.models._api import (
    get_model as get_model,
)
from rushlight.vision.models._api import (
    get_model_builder as get_model_builder,
)
from rushlight.vision.models._api import (
    get_model_weights as get_model_weights,
)
from rushlight.vision.models._api import (
    get_weight as get_weight,
)
from rushlight.vision.models._api import (
    list_models as list_models,
)
from rushlight.vision.models.alexnet import *  # noqa: F403
from rushlight.vision.models.convnext import *  # noqa: F403
from rushlight.vision.models.densenet import *  # noqa: F403
from rushlight.vision.models.efficientnet import *  # noqa: F403
from rushlight.vision.models.googlenet import *  # noqa: F403
from rushlight.vision.models.inception import *  # noqa: F403
from rushlight.vision.models.maxvit import *  # noqa: F403
from rushlight.vision.models.mnasnet import *  # noqa: F403
from rushlight.vision.models.mobilenetv2 import *  # noqa: F403
from rushlight.vision.models.mobilenetv3 import *  # noqa: F403
from rushlight.vision.models.regnet import *  # noqa: F403
from rushlight.vision.models.resnet import *  # noqa: F403
from rushlight.vision.models.shufflenetv2 import *  # noqa: F403
from rushlight.vision.models.squeezenet import *  # noqa: F403
from rushlight.vision.models.swin_transformer import *  # noqa: F403
from rushlight.vision.models.vgg import *  # noqa: F403
from rushlight.vision.models.vision_transformer import *  # noqa: F403
