#include <hearth/backend.h>
extern "C" const hearth_backend* hearth_backend_ref(void);
extern "C" const hearth_backend* hearth_backend_cpu(void){ return hearth_backend_ref(); }
