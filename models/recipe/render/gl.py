"""A small renderer on moderngl (EGL, works on Mesa's software rasteriser). The room is shaded once a clip into an
ambient and a lamp picture; a frame costs the bodies, their shadow and two screen passes.

One GL context a process: a second one gives garbage silently.
"""

from dataclasses import dataclass

import moderngl
import numpy as np

from . import shaders
from .camera import Camera

NEAR, FAR = 0.12, 22.0
_FORMAT, _NAMES = "3f 3f 3f 3f 1f", ("pos", "nrm", "uvw", "col", "mat")


@dataclass
class Light:
    """One lamp with a shadow, a sky and ground glow, a soft fill, and how the sensor takes it."""

    lamp: tuple
    aim: tuple
    colour: tuple
    sky: tuple
    ground: tuple
    fill_way: tuple
    fill_colour: tuple
    exposure: float
    softness: float
    vignette: float
    occlusion: float
    infrared: bool


def perspective(focal_x: float, focal_y: float) -> np.ndarray:
    """Clip matrix for focal lengths in half pictures."""
    m = np.zeros((4, 4))
    m[0, 0], m[1, 1] = focal_x, focal_y
    m[2, 2], m[2, 3], m[3, 2] = (FAR + NEAR) / (NEAR - FAR), 2 * FAR * NEAR / (NEAR - FAR), -1
    return m


def looking(eye, axes: np.ndarray) -> np.ndarray:
    """View matrix of an eye whose `axes` rows are right, down, forward."""
    m = np.eye(4)
    m[:3, :3] = axes * np.array([[1.0], [-1.0], [-1.0]])
    m[:3, 3] = -m[:3, :3] @ np.asarray(eye, float)
    return m


def _aimed(eye, aim) -> np.ndarray:
    forward = np.asarray(aim, float) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 1.0, 0.013))
    right /= np.linalg.norm(right)
    return looking(eye, np.stack([right, np.cross(forward, right), forward]))


def _extent(view: np.ndarray, bodies: list["_Mesh"]) -> tuple:
    """The box x0, y0, x1, y1 around all bodies in the picture of `view`, 0 to 1 along each side; all of the picture and
    more if somebody reaches behind the eye, nothing if nobody is there."""
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for body in bodies:
        x, y, _, w = view[:, :3] @ body.points.T + view[:, 3:]
        if w.min() < 0.01:
            return (-99.0, -99.0, 99.0, 99.0)
        at = np.stack([x, y]) / w * 0.5 + 0.5
        low, high = np.minimum(low, at.min(1)), np.maximum(high, at.max(1))
    return tuple(float(v) for v in np.clip([*low, *high], -99, 99))


class _Mesh:
    def __init__(self, gl: "Renderer", vertices: np.ndarray, faces: np.ndarray | None, dynamic: bool):
        context = gl.context
        self.buffer = context.buffer(vertices.astype("f4").tobytes(), dynamic=dynamic)
        self.points = vertices[:, :3]
        self.index = None if faces is None else context.buffer(faces.astype("i4").tobytes())
        program = gl.body if dynamic else gl.room
        self.surface = context.vertex_array(program, [(self.buffer, _FORMAT, *_NAMES)], self.index)
        self.depth = context.vertex_array(gl.depth, [(self.buffer, "3f 10x4", "pos")], self.index)

    def write(self, vertices: np.ndarray) -> None:
        """Takes the vertices f32 [N,13] in the place of those before, as many."""
        self.buffer.write(vertices.tobytes())
        self.points = vertices[:, :3]

    def release(self) -> None:
        for thing in (self.surface, self.depth, self.buffer, self.index):
            if thing is not None:
                thing.release()


class _Targets:
    """Frame buffers of one picture size."""

    def __init__(self, context: moderngl.Context, width: int, height: int):
        size = (width, height)
        texture = lambda: context.texture(size, 4, dtype="f2")
        self.soft, self.hard, self.still, self.moving = texture(), texture(), texture(), texture()
        self.depth_a, self.depth_b = context.depth_texture(size), context.depth_texture(size)
        for d in (self.depth_a, self.depth_b):
            d.compare_func = ""
        self.to_soft = context.framebuffer([self.soft], self.depth_a)
        self.to_hard = context.framebuffer([self.hard], self.depth_b)
        self.to_still = context.framebuffer([self.still])
        self.to_moving = context.framebuffer([self.moving], self.depth_b)
        self.dim = context.texture(size, 1, dtype="f4")
        self.to_dim = context.framebuffer([self.dim])
        many = lambda: context.framebuffer(
            [context.renderbuffer(size, 4, samples=4, dtype="f2")], context.depth_renderbuffer(size, samples=4)
        )
        self.draw, self.clean = many(), many()
        self.out = context.framebuffer([context.texture(size, 4)])
        self.small = (width // 2, height // 2)
        self.tags_texture = context.texture(self.small, 1, dtype="f1")
        self.tags_depth = context.depth_texture(self.small)
        self.tags = context.framebuffer([self.tags_texture], self.tags_depth)
        self.tags_clean = context.framebuffer(
            [context.texture(self.small, 1, dtype="f1")], context.depth_texture(self.small)
        )


class Renderer:
    def __init__(self):
        c = self.context = moderngl.create_standalone_context(backend="egl")
        self.room = c.program(vertex_shader=shaders.ROOM_VERTEX, fragment_shader=shaders.ROOM_FRAGMENT)
        self.body = c.program(vertex_shader=shaders.BODY_VERTEX, fragment_shader=shaders.BODY_FRAGMENT)
        self.depth = c.program(vertex_shader=shaders.DEPTH_VERTEX, fragment_shader=shaders.DEPTH_FRAGMENT)
        self.compose = c.program(vertex_shader=shaders.SCREEN_VERTEX, fragment_shader=shaders.STILL_FRAGMENT)
        self.occlude = c.program(vertex_shader=shaders.SCREEN_VERTEX, fragment_shader=shaders.OCCLUSION_FRAGMENT)
        self.finish = c.program(vertex_shader=shaders.SCREEN_VERTEX, fragment_shader=shaders.FINISH_FRAGMENT)
        corners = c.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self.compose_quad = c.vertex_array(self.compose, [(corners, "2f", "corner")])
        self.occlude_quad = c.vertex_array(self.occlude, [(corners, "2f", "corner")])
        self.finish_quad = c.vertex_array(self.finish, [(corners, "2f", "corner")])
        self.room_shadow_map, self.room_shadow = self._shadow_target(768)
        self.shadow_map, self.shadow = self._shadow_target(512)
        self.noise = _noise(c)
        self.photo = None
        self.targets: dict[tuple, _Targets] = {}

    def _shadow_target(self, side: int):
        size = (side, side)
        depth = self.context.depth_texture(size)
        depth.compare_func = "<="
        return depth, self.context.framebuffer([self.context.texture(size, 1, dtype="f1")], depth)

    def mesh(self, vertices: np.ndarray, faces: np.ndarray | None = None, dynamic: bool = False) -> _Mesh:
        """Uploads vertices [N,13] (position, normal, texture coordinate, colour, material)."""
        return _Mesh(self, vertices, faces, dynamic)

    def set_photo(self, picture: np.ndarray | None) -> None:
        """The photo [H,W,3] u8 that materials 9 and 10 show."""
        if self.photo is not None:
            self.photo.release()
        picture = np.full((2, 2, 3), 128, "u1") if picture is None else picture
        self.photo = self.context.texture(
            picture.shape[1::-1], 3, np.ascontiguousarray(picture[::-1]).tobytes(), alignment=1
        )
        self.photo.build_mipmaps()

    def begin(self, room: _Mesh, camera: Camera, light: Light) -> None:
        """Shades the empty room for a camera and a light."""
        size = (camera.width, camera.height)
        t = self.t = self.targets.setdefault(size, None) or _Targets(self.context, *size)
        self.targets[size] = t
        self.camera, self.light = camera, light
        f = 2 * camera.focal
        self.view = perspective(f / camera.width, f / camera.height) @ looking(camera.eye, camera.axes())
        self.lamp_view = perspective(*(2 * (1 / np.tan(np.radians(65)),))) @ _aimed(light.lamp, light.aim)
        self._uniforms()
        c = self.context
        c.enable(moderngl.DEPTH_TEST)
        c.disable(moderngl.CULL_FACE)
        self._depth_only(self.room_shadow, self.lamp_view, room)
        for part, target in ((False, t.to_soft), (True, t.to_hard)):
            t.draw.use()
            t.draw.clear(*((0, 0, 0) if part else (0.25, 0.25, 0.25)), 1.0)
            self.room["lamp_part"].value = part
            room.surface.render()
            c.copy_framebuffer(target, t.draw)
        self._depth_only(t.clean, self.view, room)
        self._depth_only(t.tags_clean, self.view, room)
        c.copy_framebuffer(t.to_moving, t.clean)
        t.to_dim.use()
        c.disable(moderngl.DEPTH_TEST)
        self._screen(self.occlude, dict(depth=t.depth_b), dict(range=(NEAR, FAR), size=size, bend=camera.k1))
        self.occlude_quad.render(moderngl.TRIANGLE_STRIP)

    def _uniforms(self) -> None:
        light = self.light
        values = dict(
            lamp=light.lamp,
            lamp_colour=light.colour,
            sky=light.sky,
            ground=light.ground,
            fill_way=light.fill_way,
            fill_colour=light.fill_colour,
            eye=self.camera.eye,
            exposure=light.exposure,
            softness=light.softness,
            size=(self.camera.width, self.camera.height),
        )
        matrices = dict(view=self.view, light=self.lamp_view, unview=np.linalg.inv(self.view))
        for program in (self.room, self.body, self.compose):
            for name, value in values.items():
                if name in program:
                    program[name].value = tuple(map(float, value)) if np.ndim(value) else float(value)
            for name, value in matrices.items():
                if name in program:
                    self._matrix(program, name, value)
        self._textures()

    def _textures(self) -> None:
        """Binds what room and bodies look up, above the slots of the screen passes."""
        textures = dict(room_shadow=self.room_shadow_map, shadow=self.shadow_map, noise=self.noise, photo=self.photo)
        for slot, (name, texture) in enumerate(textures.items(), 8):
            texture.use(slot)
            for program in (self.room, self.body):
                if name in program:
                    program[name].value = slot

    @staticmethod
    def _matrix(program, name: str, m: np.ndarray) -> None:
        program[name].write(m.T.astype("f4").tobytes())

    def _depth_only(self, target, view: np.ndarray, mesh: _Mesh, tag: float = 0.0, clear: bool = True) -> None:
        target.use()
        if clear:
            target.clear(0, 0, 0, 0, depth=1.0)
        self._matrix(self.depth, "view", view)
        self.depth["tag"].value = tag
        mesh.depth.render()

    def frame(self, bodies: list[_Mesh]) -> np.ndarray:
        """The picture [H,W,3] u8 with these bodies in the room."""
        c, t, light, camera = self.context, self.t, self.light, self.camera
        c.enable(moderngl.DEPTH_TEST)
        self.shadow.clear(0, 0, 0, 0, depth=1.0)
        for body in bodies:
            self._depth_only(self.shadow, self.lamp_view, body, clear=False)
        c.disable(moderngl.DEPTH_TEST)
        t.to_still.use()
        self._screen(self.compose, dict(soft=t.soft, hard=t.hard, depth=t.depth_a, shadow=self.shadow_map), {})
        self.compose_quad.render(moderngl.TRIANGLE_STRIP)
        c.enable(moderngl.DEPTH_TEST | moderngl.CULL_FACE)
        c.copy_framebuffer(t.draw, t.clean)
        t.draw.use()
        for body in bodies:
            body.surface.render()
        c.disable(moderngl.CULL_FACE)
        c.copy_framebuffer(t.to_moving, t.draw)
        c.disable(moderngl.DEPTH_TEST)
        t.out.use()
        self._screen(
            self.finish,
            dict(still=t.still, moving=t.moving, depth=t.depth_b, dim=t.dim),
            dict(
                range=(NEAR, FAR),
                size=(camera.width, camera.height),
                bend=camera.k1,
                bodies=_extent(self.view, bodies),
                infrared=float(light.infrared),
                vignette=light.vignette,
                occlusion=light.occlusion,
            ),
        )
        self.finish_quad.render(moderngl.TRIANGLE_STRIP)
        raw = t.out.read(components=3, alignment=1)
        return np.frombuffer(raw, np.uint8).reshape(camera.height, camera.width, 3)[::-1]

    @staticmethod
    def _screen(program, textures: dict, values: dict) -> None:
        """Gives a screen pass what it looks up and reckons with."""
        for slot, (name, texture) in enumerate(textures.items()):
            texture.use(slot)
            program[name].value = slot
        for name, value in values.items():
            program[name].value = value

    def masks(self, bodies: list[_Mesh]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """At half size and before the lens: who is seen where [h,w] (0 nobody, k the k-th body), the depth in metres
        [h,w] with everything in it, and each body's own silhouette as if alone [B] in pixels."""
        c, t = self.context, self.t
        w, h = t.small
        c.enable(moderngl.DEPTH_TEST)
        alone = []
        for body in bodies:
            self._depth_only(t.tags, self.view, body, 1.0)
            alone.append(int((np.frombuffer(t.tags.read(components=1, alignment=1), np.uint8) > 127).sum()))
        c.copy_framebuffer(t.tags, t.tags_clean)
        for k, body in enumerate(bodies):
            self._depth_only(t.tags, self.view, body, (k + 1) * 40 / 255, clear=False)
        tags = np.frombuffer(t.tags.read(components=1, alignment=1), np.uint8).reshape(h, w)[::-1]
        z = np.frombuffer(t.tags_depth.read(alignment=1), np.float32).reshape(h, w)[::-1] * 2 - 1
        return (tags + 20) // 40, 2 * NEAR * FAR / (FAR + NEAR - z * (FAR - NEAR)), np.array(alone)


def _noise(context: moderngl.Context) -> moderngl.Texture3D:
    """A tiling cube of smooth noise."""
    rng, n, cube = np.random.default_rng(7), 64, np.zeros((64, 64, 64))
    for cells, weight in ((8, 0.5), (16, 0.25), (32, 0.125), (64, 0.0625)):
        grid = np.pad(rng.random((cells,) * 3), ((0, 1),) * 3, mode="wrap")
        at = np.arange(n) / (n // cells)
        low = at.astype(int)
        f = at - low
        f = f * f * (3 - 2 * f)
        for axis in range(3):
            w = f.reshape([-1 if a == axis else 1 for a in range(3)])
            grid = np.take(grid, low, axis) * (1 - w) + np.take(grid, low + 1, axis) * w
        cube += weight * grid
    texture = context.texture3d((n, n, n), 1, (np.clip(cube, 0, 1) * 255).astype("u1").tobytes())
    texture.repeat_x = texture.repeat_y = texture.repeat_z = True
    return texture
