/* A plug-in of WasmEdge's with one function: (import "answers" "answer" (func (result i32))). */
#include <wasmedge/wasmedge.h>

static WasmEdge_Result answer(void *data, const WasmEdge_CallingFrameContext *frame, const WasmEdge_Value *in,
                              WasmEdge_Value *out) {
  (void)data, (void)frame, (void)in;
  out[0] = WasmEdge_ValueGenI32(42);
  return WasmEdge_Result_Success;
}

static WasmEdge_ModuleInstanceContext *create(const struct WasmEdge_ModuleDescriptor *descriptor) {
  (void)descriptor;
  const WasmEdge_ValType result = WasmEdge_ValTypeGenI32();
  WasmEdge_FunctionTypeContext *type = WasmEdge_FunctionTypeCreate(NULL, 0, &result, 1);
  WasmEdge_ModuleInstanceContext *module = WasmEdge_ModuleInstanceCreate(WasmEdge_StringWrap("answers", 7));
  WasmEdge_ModuleInstanceAddFunction(module, WasmEdge_StringWrap("answer", 6),
                                     WasmEdge_FunctionInstanceCreate(type, answer, NULL, 0));
  WasmEdge_FunctionTypeDelete(type);
  return module;
}

static WasmEdge_ModuleDescriptor modules[] = {{"module", "What guests import as answers.", create}};
static WasmEdge_PluginDescriptor plugin = {
    "answers", "Knows the answer.", WasmEdge_Plugin_CurrentAPIVersion, {0, 1, 0, 0}, 1, 0, modules, NULL};

WASMEDGE_CAPI_PLUGIN_EXPORT const WasmEdge_PluginDescriptor *WasmEdge_Plugin_GetDescriptor(void) { return &plugin; }
