/* ---- >>svg: a writer of SVG files: numbers, text, whole files or none ---- */
#ifndef SPIKELIB_PLOT_SVG_H
#define SPIKELIB_PLOT_SVG_H

#include "../api/plot.h"
#include "../core/base.h"

#ifndef SPIKELIB_NO_PLOT

#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SPKI_SVG_PATH_MAX = 4096 };

/* The text goes to "<path>.part", which takes the name when it is complete. Devices and pipes are
   written directly: a rename would replace them by a file. */
typedef struct spki_svg {
    FILE *file;
    const char *path;
    bool direct;
    char part[SPKI_SVG_PATH_MAX];
} spki_svg;

SPKI_FN void spki_svg_raw(spki_svg *svg, const char *text)
{
    fputs(text, svg->file);
}

SPKI_FN void spki_svg_integer(spki_svg *svg, long value)
{
    fprintf(svg->file, "%ld", value);
}

/* At most two decimals, whatever the locale says about decimal points. */
SPKI_FN void spki_svg_number(spki_svg *svg, double value)
{
    long cents;
    if (!(value > -1e7)) value = -1e7;
    if (!(value < 1e7)) value = 1e7;
    cents = (long)(value * 100.0 + (value < 0.0 ? -0.5 : 0.5));
    if (cents < 0) {
        fputc('-', svg->file);
        cents = -cents;
    }
    fprintf(svg->file, "%ld", cents / 100);
    cents %= 100;
    if (cents % 10 != 0) fprintf(svg->file, ".%02ld", cents);
    else if (cents != 0) fprintf(svg->file, ".%ld", cents / 10);
}

/* Length of the well-formed UTF-8 character at `s` if XML allows it, else 0.
   Source: RFC 3629, section 4; XML 1.0, section 2.2. */
SPKI_FN size_t spki_svg_utf8(const unsigned char *s)
{
    uint32_t c;
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3
               : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    size_t i;
    if (n == 0 || (n == 1 && (s[0] < 0x20 || s[0] == 0x7f))) return 0;
    c = n == 1 ? s[0] : s[0] & (0x7fU >> n);
    for (i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3fU);
    }
    if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff))) return 0;
    return (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff ? 0 : n;
}

SPKI_FN void spki_svg_escaped(spki_svg *svg, const char *text)
{
    const unsigned char *s = (const unsigned char *)(text ? text : "");
    while (*s) {
        size_t n = spki_svg_utf8(s);
        if (*s == '&') spki_svg_raw(svg, "&amp;");
        else if (*s == '<') spki_svg_raw(svg, "&lt;");
        else if (*s == '>') spki_svg_raw(svg, "&gt;");
        else if (*s == '"') spki_svg_raw(svg, "&quot;");
        else if (n == 0) fputc(*s == '\t' || *s == '\n' ? ' ' : '?', svg->file);
        else fwrite(s, 1, n, svg->file);
        s += n ? n : 1;
    }
}

/* %n a double, %i an int, %c a colour (uint32_t), %s text to be escaped, %r text as it is, %% a
   per cent sign. */
SPKI_FN void spki_svg_print(spki_svg *svg, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (; *format; format++) {
        if (*format != '%') {
            fputc(*format, svg->file);
            continue;
        }
        format++;
        if (*format == 'n') spki_svg_number(svg, va_arg(args, double));
        else if (*format == 'i') spki_svg_integer(svg, va_arg(args, int));
        else if (*format == 'c') fprintf(svg->file, "#%06x", va_arg(args, unsigned));
        else if (*format == 's') spki_svg_escaped(svg, va_arg(args, const char *));
        else if (*format == '%') fputc('%', svg->file);
        else spki_svg_raw(svg, va_arg(args, const char *));
    }
    va_end(args);
}

/* Roughly: the average sans-serif letter is 0.56 em wide. */
SPKI_FN double spki_svg_text_width(const char *text, double font)
{
    size_t letters = 0;
    for (; text && *text; text++)
        if (((unsigned char)*text & 0xc0) != 0x80) letters++;
    return (double)letters * 0.56 * font;
}

/* `anchor`: "start", "middle" or "end". */
SPKI_FN void spki_svg_text(spki_svg *svg, double x, double y, const char *anchor, double font,
                           uint32_t rgb, const char *text)
{
    spki_svg_print(svg, "<text x=\"%n\" y=\"%n\" font-size=\"%n\" text-anchor=\"%r\" fill=\"%c\">",
                   x, y, font, anchor, rgb);
    spki_svg_print(svg, "%s</text>\n", text);
}

SPKI_FN void spki_svg_line(spki_svg *svg, double x1, double y1, double x2, double y2,
                           uint32_t rgb, double width)
{
    spki_svg_print(svg,
                   "<path d=\"M%n %nL%n %n\" stroke=\"%c\" stroke-width=\"%n\" fill=\"none\"/>\n",
                   x1, y1, x2, y2, rgb, width);
}

SPKI_FN spk_result spki_svg_open(spki_svg *svg, const char *path, double width, double height)
{
    struct stat there;
    size_t length = strlen(path);
    if (length + 6 > sizeof svg->part) return SPK_ERR_RANGE;
    memcpy(svg->part, path, length);
    memcpy(svg->part + length, ".part", 6);
    svg->path = path;
    svg->direct = stat(path, &there) == 0 && !S_ISREG(there.st_mode);
    svg->file = fopen(svg->direct ? path : svg->part, "wb");
    if (!svg->file) return SPK_ERR_IO;
    spki_svg_print(svg,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%n\" height=\"%n\" "
                   "viewBox=\"0 0 %n %n\" font-family=\"Helvetica, Arial, sans-serif\">\n"
                   "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                   width, height, width, height);
    return SPK_OK;
}

/* Gives the complete file its name; leaves nothing behind if any write failed. */
SPKI_FN spk_result spki_svg_close(spki_svg *svg)
{
    bool failed;
    spki_svg_raw(svg, "</svg>\n");
    failed = ferror(svg->file) != 0;
    if (fclose(svg->file) != 0) failed = true;
    if (svg->direct) return failed ? SPK_ERR_IO : SPK_OK;
#ifdef _WIN32
    if (!failed) remove(svg->path); /* there, rename does not replace */
#endif
    if (!failed && rename(svg->part, svg->path) != 0) failed = true;
    if (failed) remove(svg->part);
    return failed ? SPK_ERR_IO : SPK_OK;
}

/* -- a path in tenths of a pixel, relative, with no space that can be left out -- */

typedef struct spki_svg_pen {
    spki_svg *svg;
    long x, y;
    bool drawing; /* the path's last command is "l" */
} spki_svg_pen;

SPKI_FN void spki_svg_pair(spki_svg *svg, long x, long y)
{
    spki_svg_integer(svg, x);
    if (y >= 0) fputc(' ', svg->file);
    spki_svg_integer(svg, y);
}

SPKI_FN void spki_svg_pen_move(spki_svg_pen *pen, long x, long y)
{
    fputc('M', pen->svg->file);
    spki_svg_pair(pen->svg, x, y);
    pen->x = x;
    pen->y = y;
    pen->drawing = false;
}

SPKI_FN void spki_svg_pen_line(spki_svg_pen *pen, long x, long y)
{
    long dx = x - pen->x, dy = y - pen->y;
    if (dx == 0 && dy == 0) return;
    if (!pen->drawing) fputc('l', pen->svg->file);
    else if (dx >= 0) fputc(' ', pen->svg->file);
    spki_svg_pair(pen->svg, dx, dy);
    pen->x = x;
    pen->y = y;
    pen->drawing = true;
}

#endif
#endif
