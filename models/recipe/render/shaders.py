"""GLSL of the renderer.

Materials: 0 plain, 1 planks, 2 tiles, 3 cloth or carpet, 4 stripes, 5 checks, 6 ringed garment, 7 plaid garment,
8 plaster, 9 photo by texture coordinate, 10 photo by screen position, 11 garment with folds.
"""

_INPUTS = """#version 330
in vec3 pos; in vec3 nrm; in vec3 uvw; in vec3 col; in float mat;
"""

_LIGHT = """
uniform vec3 lamp; uniform vec3 lamp_colour; uniform vec3 sky; uniform vec3 ground; uniform vec3 fill_way;
uniform vec3 fill_colour; uniform float exposure; uniform float softness;
uniform sampler2DShadow room_shadow;
"""

_CLOUD = """
uniform sampler3D noise;
float cloud(vec3 p) { return texture(noise, p * .125).r; }
"""

_SHADOW = """
float lit(sampler2DShadow map, vec4 p, float outside) {
    vec3 c = p.xyz / p.w * .5 + .5;
    if (p.w < 0. || c.x < 0. || c.x > 1. || c.y < 0. || c.y > 1.) return outside;
    float s = 0.;
    for (int i = 0; i < 4; i++)
        s += texture(map, vec3(c.xy + (vec2(i & 1, i >> 1) - .5) * 2. * softness, c.z - .0018));
    return s / 4.;
}"""

ROOM_VERTEX = (
    _INPUTS
    + """
uniform mat4 view; uniform mat4 light;
out vec3 place; out vec3 normal; out vec3 coord; out vec3 tint; flat out int material; out vec4 in_light;
void main() {
    place = pos; normal = nrm; coord = uvw; tint = col; material = int(mat + .5);
    in_light = light * vec4(pos, 1);
    gl_Position = view * vec4(pos, 1);
}"""
)

# the ambient part of the picture of the room, or its lamp part with the shadow of what stands still
ROOM_FRAGMENT = (
    """#version 330
in vec3 place; in vec3 normal; in vec3 coord; in vec3 tint; flat in int material; in vec4 in_light;
uniform sampler2D photo; uniform vec3 eye; uniform vec2 size; uniform bool lamp_part;
layout(location = 0) out vec4 result;
"""
    + _LIGHT
    + _CLOUD
    + _SHADOW
    + """
float hash(vec3 p) { p = fract(p * .3183099 + .1); p *= 17.; return fract(p.x * p.y * p.z * (p.x + p.y + p.z)); }
vec3 pattern(vec3 c, vec3 p, vec3 n) {
    vec2 q = abs(n.z) > .6 ? p.xy : (abs(n.x) > .6 ? p.yz : p.xz);
    if (material == 1) {
        float row = floor(q.x * 7.), seg = floor(q.y * .9 + hash(vec3(row, 3, 1)) * 5.), k = hash(vec3(row, seg, 2.));
        float grain = cloud(vec3(q.x * 40., q.y * 3. + k * 20., k * 9.));
        float joint = fract(q.y * .9 + hash(vec3(row, 3, 1)) * 5.);
        float gap = smoothstep(0., .04, fract(q.x * 7.)) * smoothstep(0., .01, joint);
        return c * (.7 + .35 * k + .35 * (grain - .4)) * (.65 + .35 * gap);
    }
    if (material == 2) {
        vec2 f = fract(q * 2.7);
        float k = hash(vec3(floor(q * 2.7), 1.));
        return mix(c * .55, c * (.92 + .12 * k), step(.03, f.x) * step(.03, f.y)) * (.9 + .2 * cloud(p * 12.));
    }
    if (material == 3) return c * (.6 + .8 * cloud(p * 60.)) * (.85 + .3 * cloud(p * 3.));
    if (material == 4) return c * (.9 + .1 * step(.5, fract(q.x * 5.))) * (.95 + .1 * cloud(p * 6.));
    if (material == 5) {
        vec2 f = floor(q * 3.3);
        return mix(c, c * .45, mod(f.x + f.y, 2.)) * (.9 + .2 * cloud(p * 20.));
    }
    if (material == 8) return c * (.8 + .5 * (cloud(p * 9.) - .45)) + .08 * step(.62, cloud(p * 21.));
    if (material == 9) return c * pow(texture(photo, coord.xy).rgb, vec3(2.2));
    return c * (.88 + .24 * cloud(p * 7.));
}
void main() {
    if (material == 10) {
        vec3 back = pow(texture(photo, gl_FragCoord.xy / size).rgb, vec3(2.2)) * tint * exposure;
        result = vec4(back * (lamp_part ? .36 : .72), 1.);
        return;
    }
    vec3 n = normalize(normal), base = pattern(tint, coord, n);
    vec3 way = lamp - place;
    float d2 = dot(way, way);
    way = normalize(way);
    vec3 half_way = normalize(way + normalize(eye - place));
    float shine = pow(max(dot(n, half_way), 0.), 24.) * (material == 1 || material == 2 ? .25 : .05);
    vec3 soft = base * (mix(ground, sky, n.z * .5 + .5) + fill_colour * max(dot(n, fill_way) * .5 + .5, 0.) * .6);
    vec3 hard = base * lamp_colour * max(dot(n, way), 0.) * 6. / (1.5 + d2) + lamp_colour * shine * 2. / (1. + d2);
    result = vec4((lamp_part ? lit(room_shadow, in_light, .6) * hard : soft) * exposure, 1.);
}"""
)

# bodies are lit at their vertices: thousands of triangles of a few pixels each make fragments dear
BODY_VERTEX = (
    _INPUTS
    + _LIGHT
    + _SHADOW
    + """
uniform mat4 view; uniform mat4 light; uniform sampler2DShadow shadow;
out vec3 coord; out vec3 glow; flat out int material;
void main() {
    vec3 n = normalize(nrm), way = lamp - pos;
    float d2 = dot(way, way);
    vec4 in_light = light * vec4(pos, 1);
    vec3 soft = mix(ground, sky, n.z * .5 + .5) + fill_colour * max(dot(n, fill_way) * .5 + .5, 0.) * .6;
    vec3 hard = lamp_colour * max(dot(n, normalize(way)), 0.) * 6. / (1.5 + d2);
    glow = col * exposure * (soft + hard * lit(room_shadow, in_light, .6) * lit(shadow, in_light, 1.));
    coord = uvw; material = int(mat + .5);
    gl_Position = view * vec4(pos, 1);
}"""
)

BODY_FRAGMENT = (
    """#version 330
in vec3 coord; in vec3 glow; flat in int material;
layout(location = 0) out vec4 result;
"""
    + _CLOUD
    + """
float pattern() {
    if (material == 3) return (.6 + .8 * cloud(coord * 60.)) * (.85 + .3 * cloud(coord * 3.));
    if (material == 6) return step(.5, fract(coord.z * 14.)) * .62 + .4;
    if (material == 7) return .32 + .36 * step(.5, fract(coord.z * 9.)) + .36 * step(.5, fract(coord.x * 9.));
    if (material == 11)
        return .55 + .75 * cloud(vec3(coord.xy * 26., coord.z * 5.)) + .3 * (cloud(coord * 90.) - .45);
    return .88 + .24 * cloud(coord * 7.);
}
void main() { result = vec4(glow * pattern(), 1.); }"""
)

DEPTH_VERTEX = """#version 330
in vec3 pos; uniform mat4 view;
void main() { gl_Position = view * vec4(pos, 1); }"""

DEPTH_FRAGMENT = """#version 330
uniform float tag; out vec4 result;
void main() { result = vec4(tag, 0., 0., tag); }"""

SCREEN_VERTEX = """#version 330
in vec2 corner; out vec2 uv;
void main() { uv = corner * .5 + .5; gl_Position = vec4(corner, 0, 1); }"""

STILL_FRAGMENT = (
    """#version 330
in vec2 uv; uniform sampler2D soft; uniform sampler2D hard; uniform sampler2D depth; uniform sampler2DShadow shadow;
uniform mat4 unview; uniform mat4 light; uniform float softness; out vec4 result;
"""
    + _SHADOW
    + """
void main() {
    vec4 w = unview * vec4(vec3(uv, texture(depth, uv).r) * 2. - 1., 1);
    result = vec4(texture(soft, uv).rgb + lit(shadow, light * vec4(w.xyz / w.w, 1), 1.) * texture(hard, uv).rgb, 1.);
}"""
)

# how much of a point's surroundings stands before it: 8 looks within 22 cm, the same pattern in every picture
_OCCLUSION = """#version 330
in vec2 uv; uniform sampler2D depth; uniform vec2 range; uniform vec2 size; uniform float bend; out vec4 result;
float metres(vec2 u) {
    float z = texture(depth, u).r * 2. - 1.;
    return 2. * range.x * range.y / (range.y + range.x - z * (range.y - range.x));
}
vec2 bent() {
    vec2 q = uv - .5;
    return .5 + q * (1. + bend * dot(q, q)) / (1. + bend * .5);
}
vec2 reach(float z) { return .22 / z * vec2(size.y / size.x, 1.); }
float occluded(vec2 u, float z, int looks) {
    float dark = 0., spin = fract(sin(dot(uv, vec2(12.98, 78.2))) * 43758.5) * 6.28;
    for (int i = 0; i < looks; i++) {
        float t = spin + float(i) * 2.4, r = (float(i) + .7) / 8.;
        float gap = z - metres(u + vec2(cos(t), sin(t)) * r * reach(z));
        dark += smoothstep(.015, .06, gap) * smoothstep(.55, .2, gap);
    }
    return dark / 8.;
}"""

OCCLUSION_FRAGMENT = (
    _OCCLUSION
    + """
void main() {
    vec2 u = bent();
    result = vec4(occluded(u, metres(u), 8));
}"""
)

# `dim` is the occlusion of the empty room, which holds wherever no body is within reach. There it takes no looks: Mesa's
# software rasteriser works out both sides of a branch, but leaves a loop early
FINISH_FRAGMENT = (
    _OCCLUSION
    + """
uniform sampler2D still; uniform sampler2D moving; uniform sampler2D dim; uniform vec4 bodies;
uniform float infrared; uniform float vignette; uniform float occlusion;
void main() {
    vec2 q = uv - .5, u = bent();
    float r2 = dot(q, q), z = metres(u);
    vec4 body = texture(moving, u);
    vec3 c = texture(still, u).rgb * (1. - body.a) + body.rgb;
    vec2 near = reach(z) + 2. / size;
    bool alone = any(lessThan(u + near, bodies.xy)) || any(greaterThan(u - near, bodies.zw));
    float dark = occluded(u, z, alone ? 0 : 8);
    c *= 1. - occlusion * (alone ? texelFetch(dim, ivec2(gl_FragCoord.xy), 0).r : dark);
    c *= 1. - vignette * r2 * 1.6;
    if (infrared > .5) c = vec3(dot(c, vec3(.45, .35, .2))) * (1.15 - 1.3 * r2);
    c = (c * (2.51 * c + .03)) / (c * (2.43 * c + .59) + .14);
    result = vec4(pow(clamp(c, 0., 1.), vec3(1. / 2.2)), 1.);
}"""
)
