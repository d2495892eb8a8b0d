# qgm_flags: what every file of the project is compiled with. SPDX-License-Identifier: MIT
add_library(qgm_flags INTERFACE)
# Bit-equality: no contraction of a*b+c behind our back; fma is written where it is meant.
target_compile_options(qgm_flags INTERFACE -ffp-contract=off -fno-math-errno
    -Wall -Wextra -Wshadow -Wvla -Wundef -Wpointer-arith
    -Wno-missing-field-initializers # a table's row names what differs from zero
    $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
target_compile_definitions(qgm_flags INTERFACE _GNU_SOURCE $<$<BOOL:${QGM_CHECKS}>:QGM_CHECKS>)
if(QGM_WERROR)
    target_compile_options(qgm_flags INTERFACE -Werror)
endif()
if(QGM_SANITIZE)
    add_compile_options(-fsanitize=${QGM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${QGM_SANITIZE})
endif()
