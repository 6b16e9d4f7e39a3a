// A library, but no plugin.
int something_else() {
  return 1;
}
